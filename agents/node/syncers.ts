// The agent's syncers, one for each part of the datastore that it follows, and how far each is.

import type { Datastore } from '../../lib/datastore/datastore.ts';
import { Syncer } from '../../lib/datastore/syncer.ts';
import type { SyncerUpdate, SyncStatus } from '../../lib/datastore/syncer-contract.ts';
import { type Startable, StopStack } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';

/** A part of the datastore. */
export interface SyncedPart {
  readonly prefix: string;
  readonly onUpdates: (updates: readonly SyncerUpdate[]) => void;
  readonly onRevision?: (revision: number) => void;
}

export interface SyncersOptions {
  readonly datastore: Datastore;
  /** By name. */
  readonly parts: Readonly<Record<string, SyncedPart>>;
  readonly logger: Logger;
  /** The status of one has changed. */
  readonly onStatus: () => void;
}

export class Syncers implements Startable {
  readonly #options: SyncersOptions;
  readonly #statuses: Map<string, SyncStatus>;
  readonly #resyncs = new Map<string, number>();
  readonly #stack = new StopStack();

  constructor(options: SyncersOptions) {
    this.#options = options;
    this.#statuses = new Map(Object.keys(options.parts).map((name) => [name, 'waitForDatastore']));
  }

  status(name: string): SyncStatus {
    return this.#statuses.get(name) ?? 'waitForDatastore';
  }

  /** How often the part has been read as a whole. */
  resyncs(name: string): number {
    return this.#resyncs.get(name) ?? 0;
  }

  /** Names of the parts that are not in sync. */
  get waiting(): readonly string[] {
    return [...this.#statuses].filter(([, status]) => status !== 'inSync').map(([name]) => name);
  }

  isInSync(...names: readonly string[]): boolean {
    return names.every((name) => this.status(name) === 'inSync');
  }

  async start(): Promise<void> {
    const { datastore, parts, logger, onStatus } = this.#options;
    for (const [name, { prefix, ...callbacks }] of Object.entries(parts)) {
      const syncer = new Syncer({
        datastore,
        prefix,
        logger: logger.child({ part: `syncer ${name}` }),
        callbacks: {
          ...callbacks,
          onStatus: (status) => {
            this.#statuses.set(name, status);
            if (status === 'resyncInProgress') this.#resyncs.set(name, this.resyncs(name) + 1);
            onStatus();
          },
        },
      });
      await syncer.start();
      this.#stack.push(`syncer of ${name}`, () => syncer.stop());
    }
  }

  stop(): Promise<void> {
    return this.#stack.stop();
  }
}
