// Keeps a copy of a prefix true: list, then watch from the revision after; on compaction, loss or stall list again and
// emit the difference, deletions included. What it promises its consumer is in syncer-contract.ts.

import { Backoff, waitFor } from '../lifecycle/backoff.ts';
import { type Clock, systemClock } from '../lifecycle/clock.ts';
import type { Startable } from '../lifecycle/startable.ts';
import type { Logger } from '../logging/logger.ts';
import { type Datastore, DatastoreError, type KeyValue, type WatchBatch } from './datastore.ts';
import { LIST_PAGE_SIZE } from './limits.ts';
import type { SyncerCallbacks, SyncerUpdate, SyncStatus } from './syncer-contract.ts';

export interface SyncerOptions {
  readonly datastore: Datastore;
  /** Keys that begin with it; end it with a slash. */
  readonly prefix: string;
  readonly callbacks: SyncerCallbacks;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** For the jitter of retries; in [0, 1). */
  readonly random?: () => number;
  /** Keys read at once. */
  readonly pageSize?: number;
  /** Passed to the watch: how long it may be quiet before progress is asked for. */
  readonly progressIntervalMs?: number;
  /** A watch that says nothing for so long, not even progress, is given up; 30 s if left out. */
  readonly stallTimeoutMs?: number;
  /** Bounds of the wait before a new attempt; 100 ms to 5 s if left out. */
  readonly retry?: { readonly minMs: number; readonly maxMs: number };
}

const DEFAULT_STALL_TIMEOUT_MS = 30_000;
const DEFAULT_RETRY = { minMs: 100, maxMs: 5_000 };

export class Syncer implements Startable {
  readonly #options: SyncerOptions;
  readonly #heldByKey = new Map<string, KeyValue>();
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #status: SyncStatus | undefined;
  #revision = 0;
  #failure: DatastoreError | undefined;
  #relists = 0;

  constructor(options: SyncerOptions) {
    this.#options = options;
    this.#backoff = new Backoff({
      ...(options.retry ?? DEFAULT_RETRY),
      ...(options.random === undefined ? {} : { random: options.random }),
    });
  }

  /** Begins in the background; what is held comes through the callbacks. A syncer is started once. */
  async start(): Promise<void> {
    if (this.#running !== undefined) throw new Error('a syncer is started once');
    // Only a mistake (a callback that throws) gets out of here: it must end the process, not the syncing alone.
    this.#running = this.#run(this.#stopped.signal);
  }

  /** Waits for what is under way; no callback comes after. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  get status(): SyncStatus {
    return this.#status ?? 'waitForDatastore';
  }

  /** What is held is true at least up to this store revision; 0 before the first list. */
  get revision(): number {
    return this.#revision;
  }

  /** Why it is not in sync, if something failed. */
  get failure(): DatastoreError | undefined {
    return this.#failure;
  }

  /** How often the prefix was listed again after the first time. */
  get relists(): number {
    return this.#relists;
  }

  get(key: string): KeyValue | undefined {
    return this.#heldByKey.get(key);
  }

  get size(): number {
    return this.#heldByKey.size;
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.#setStatus('waitForDatastore');
    while (!signal.aborted) {
      try {
        const revision = await this.#list(signal);
        this.#failure = undefined;
        this.#advance(revision);
        this.#setStatus('inSync');
        await this.#watch(revision + 1, signal);
      } catch (error) {
        if (!(error instanceof DatastoreError)) throw error;
        if (signal.aborted) return;
        this.#onFailure(error);
      }
      this.#relists += 1;
      if (!(await waitFor(this.#backoff.next(), signal))) return;
    }
  }

  /** Emits page by page what differs from what is held; returns the revision of the list. */
  async #list(signal: AbortSignal): Promise<number> {
    const { datastore, prefix, pageSize = LIST_PAGE_SIZE } = this.#options;
    const seen = new Set<string>();
    let page = await datastore.list(prefix, { limit: pageSize, signal });
    const { revision } = page;
    this.#setStatus('resyncInProgress');
    for (;;) {
      const updates: SyncerUpdate[] = [];
      for (const kv of page.items) {
        seen.add(kv.key);
        this.#hold(kv, revision, updates);
      }
      this.#emit(updates);
      const after = page.items.at(-1)?.key;
      if (!page.hasMore || after === undefined) break;
      page = await datastore.list(prefix, { limit: pageSize, after, revision, signal });
    }
    const gone: SyncerUpdate[] = [];
    for (const key of [...this.#heldByKey.keys()]) {
      if (!seen.has(key)) this.#forget(key, revision, gone);
    }
    this.#emit(gone);
    return revision;
  }

  async #watch(fromRevision: number, signal: AbortSignal): Promise<void> {
    const { datastore, prefix, progressIntervalMs, clock = systemClock } = this.#options;
    const stallTimeoutMs = this.#options.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS;
    const stalled = new AbortController();
    const arm = (): (() => void) => clock.schedule(stallTimeoutMs, () => stalled.abort());
    let disarm = arm();
    try {
      const batches = datastore.watch(prefix, {
        fromRevision,
        signal: AbortSignal.any([signal, stalled.signal]),
        ...(progressIntervalMs === undefined ? {} : { progressIntervalMs }),
      });
      for await (const batch of batches) {
        if (signal.aborted) return;
        disarm();
        disarm = arm();
        this.#backoff.reset();
        this.#apply(batch);
      }
    } finally {
      disarm();
    }
    if (!signal.aborted) throw new DatastoreError({ code: 'timeout', operation: 'watch' });
  }

  #apply(batch: WatchBatch): void {
    const updates: SyncerUpdate[] = [];
    for (const event of batch.events) {
      if (event.type === 'put') this.#hold(event.kv, event.kv.modRevision, updates);
      else this.#forget(event.key, event.revision, updates);
    }
    this.#emit(updates);
    this.#advance(batch.revision);
  }

  /** Repeats are dropped; a key with the same revision but another value comes from another store. */
  #hold(kv: KeyValue, revision: number, updates: SyncerUpdate[]): void {
    const previous = this.#heldByKey.get(kv.key);
    if (previous?.modRevision === kv.modRevision && previous.value === kv.value) return;
    this.#heldByKey.set(kv.key, kv);
    updates.push({ key: kv.key, kv, previous, revision });
  }

  #forget(key: string, revision: number, updates: SyncerUpdate[]): void {
    const previous = this.#heldByKey.get(key);
    if (previous === undefined) return;
    this.#heldByKey.delete(key);
    updates.push({ key, kv: undefined, previous, revision });
  }

  #emit(updates: readonly SyncerUpdate[]): void {
    if (updates.length > 0 && !this.#stopped.signal.aborted) this.#options.callbacks.onUpdates(updates);
  }

  #advance(revision: number): void {
    this.#revision = revision;
    if (!this.#stopped.signal.aborted) this.#options.callbacks.onRevision?.(revision);
  }

  #setStatus(status: SyncStatus): void {
    if (this.#status === status || this.#stopped.signal.aborted) return;
    this.#status = status;
    this.#options.callbacks.onStatus(status);
  }

  #onFailure(error: DatastoreError): void {
    const { logger, prefix } = this.#options;
    if (error.type.code === 'compacted') {
      logger.info('watched revision is compacted, listing again', { prefix, revision: error.type.requested });
      return;
    }
    if (this.#failure?.type.code !== error.type.code) logger.warn('datastore lost', { prefix, error });
    this.#failure = error;
    this.#setStatus('waitForDatastore');
  }
}
