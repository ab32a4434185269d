// Several prefixes of one store for one consumer: in sync when all are, and as new as the oldest of them.

import type { Startable } from '../lifecycle/startable.ts';
import { Syncer, type SyncerOptions } from './syncer.ts';
import type { SyncStatus } from './syncer-contract.ts';

export interface MultiSyncerOptions extends Omit<SyncerOptions, 'prefix'> {
  /** None begins with another. */
  readonly prefixes: readonly string[];
}

/** Worst first: the status of the whole is that of its worst part. */
const STATUSES: readonly SyncStatus[] = ['waitForDatastore', 'resyncInProgress', 'inSync'];

export class MultiSyncer implements Startable {
  readonly #options: MultiSyncerOptions;
  readonly #syncers: readonly Syncer[];
  #status: SyncStatus | undefined;
  #revision = 0;

  constructor(options: MultiSyncerOptions) {
    const { prefixes, ...shared } = options;
    if (prefixes.length === 0) throw new RangeError('a syncer needs at least one prefix');
    const nested = prefixes.find((prefix, index) =>
      prefixes.some((other, at) => at !== index && prefix.startsWith(other)),
    );
    if (nested !== undefined) throw new RangeError(`prefix ${nested} lies within another`);
    this.#options = options;
    this.#syncers = prefixes.map(
      (prefix) =>
        new Syncer({
          ...shared,
          prefix,
          callbacks: {
            onUpdates: (updates) => options.callbacks.onUpdates(updates),
            onStatus: () => this.#onStatus(),
            onRevision: () => this.#onRevision(),
          },
        }),
    );
  }

  async start(): Promise<void> {
    for (const syncer of this.#syncers) await syncer.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#syncers.map((syncer) => syncer.stop()));
  }

  get status(): SyncStatus {
    return STATUSES.find((status) => this.#syncers.some((syncer) => syncer.status === status)) ?? 'inSync';
  }

  /** What is held of every prefix is true at least up to this store revision; 0 before all have been listed. */
  get revision(): number {
    return this.#revision;
  }

  /** One for each prefix, in their order. */
  get syncers(): readonly Syncer[] {
    return this.#syncers;
  }

  #onStatus(): void {
    const status = this.status;
    if (status === this.#status) return;
    this.#status = status;
    this.#options.callbacks.onStatus(status);
  }

  /** Differs from the last also downwards, when a store was replaced by an older one. */
  #onRevision(): void {
    const revision = Math.min(...this.#syncers.map((syncer) => syncer.revision));
    if (revision === this.#revision) return;
    this.#revision = revision;
    this.#options.callbacks.onRevision?.(revision);
  }
}
