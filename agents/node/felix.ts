// Felix within the agent: from the syncers' updates through the calculation graph to the dataplane. While a change is in the
// kernel's hands the next ones gather, so a burst is a few changes, not hundreds.

import { decodeStored } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../lib/events/event.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { parseResourceKey } from '../../lib/model/keys.ts';
import { CalcGraph } from '../felix/calc/calc-graph.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';

export interface FelixOptions {
  readonly node: string;
  readonly dataplane: Dataplane;
  readonly events: EventSink;
  readonly logger: Logger;
}

export class Felix {
  readonly #options: FelixOptions;
  readonly #graph: CalcGraph;
  #isDirty = false;
  #isStopped = false;
  #pumping: Promise<void> | undefined;
  #acknowledgedRevision = 0;

  constructor(options: FelixOptions) {
    this.#options = options;
    this.#graph = new CalcGraph({ hostname: options.node });
  }

  /** The kernel holds the datastore's state up to this revision. */
  get acknowledgedRevision(): number {
    return this.#acknowledgedRevision;
  }

  onUpdates(updates: readonly SyncerUpdate[]): void {
    for (const { key, kv, revision } of updates)
      this.#graph.onUpdate({
        key,
        value: kv === undefined ? undefined : parse(key, kv.value, kv.modRevision),
        revision,
      });
    this.#pump();
  }

  onInSync(): void {
    this.#graph.onInSync();
    this.#pump();
  }

  /** Waits for the change under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#pumping;
  }

  #pump(): void {
    this.#isDirty = true;
    this.#pumping ??= this.#run().finally(() => {
      this.#pumping = undefined;
    });
  }

  async #run(): Promise<void> {
    // Updates of one moment come in several calls: let them all in before the first flush.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#isDirty && !this.#isStopped) {
      this.#isDirty = false;
      const started = performance.now();
      const flush = this.#graph.flush();
      for (const invalid of flush.invalid)
        this.#options.logger.warn('invalid value counts as absent', { ...invalid });
      if (flush.messages.length === 0) {
        // Nothing here changes: what the kernel holds is true at this revision too.
        this.#acknowledgedRevision = flush.revision;
        continue;
      }
      const { events, logger, dataplane } = this.#options;
      const { revision } = flush;
      events.emit({
        component: 'agent',
        kind: 'calcFlushed',
        revision,
        count: flush.messages.length,
        durationMs: performance.now() - started,
      });
      try {
        this.#acknowledgedRevision = (await dataplane.apply(flush)).revision;
      } catch (error) {
        if (!this.#isStopped) logger.error('dataplane did not take a change', { error });
      }
    }
  }
}

/** What is no object of its kind goes in as it is: the graph takes it for absent, and says so. */
function parse(key: string, value: string, modRevision: number): unknown {
  const ref = parseResourceKey(key);
  if (ref !== undefined) return decodeStored(ref.kind, value, modRevision) ?? value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
