// The in-memory twin of the etcd client: for tests and dry runs. Several clients can share one MemoryStore, as hosts
// share an etcd; `disconnect` stands for a lost connection.

import { backgroundClock, type Clock } from '../../lifecycle/clock.ts';
import { BatchQueue } from '../batch-queue.ts';
import {
  type Datastore,
  DatastoreError,
  type KeyValue,
  type Lease,
  type ListOptions,
  type ListResult,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchOptions,
} from '../datastore.ts';
import { MemoryLease } from './memory-lease.ts';
import { isUnder, MemoryStore } from './memory-store.ts';

const DEFAULT_PROGRESS_INTERVAL_MS = 3_000;
/** Batches kept for a slow reader; past that it reads from the store's history, and may find it compacted. */
const WATCH_QUEUE_LIMIT = 1_000;

export interface MemoryDatastoreOptions {
  /** Shared by several clients; a new, empty one if left out. */
  readonly store?: MemoryStore;
  readonly clock?: Clock;
}

export class MemoryDatastore implements Datastore {
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #leases = new Set<MemoryLease>();
  readonly #watches = new Set<BatchQueue>();
  #state: 'connected' | 'disconnected' | 'closed' = 'connected';

  constructor(options: MemoryDatastoreOptions = {}) {
    this.#store = options.store ?? new MemoryStore();
    // It stands for a server's clock: a lease of an hour is no reason for the client's process to live on.
    this.#clock = options.clock ?? backgroundClock;
  }

  async get(
    key: string,
    options: { readonly revision?: number; readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly kv: KeyValue | undefined; readonly revision: number }> {
    this.#check('get', options.signal);
    return { kv: this.#store.get(key, options.revision), revision: this.#store.revision };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    this.#check('list', options.signal);
    return this.#store.list(prefix, options);
  }

  async transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult> {
    this.#check('txn', signal);
    return this.#store.transact(transaction);
  }

  async *watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch> {
    if (options.signal.aborted) return;
    this.#check('watch');
    let next = options.fromRevision;
    let isLagging = true;
    const queue = new BatchQueue(WATCH_QUEUE_LIMIT);
    const stopListening = this.#store.onCommit((entry) => {
      const events = entry.events.filter((event) => isUnder(event, prefix));
      if (events.length === 0 || isLagging || entry.revision < options.fromRevision) return;
      isLagging = !queue.push({ revision: entry.revision, events });
    });
    const stopProgress = this.#progress(queue, options.progressIntervalMs, () => isLagging);
    this.#watches.add(queue);
    try {
      while (!options.signal.aborted) {
        if (isLagging && queue.size === 0) {
          const missed = this.#store.eventsFrom(prefix, next);
          isLagging = false;
          for (const batch of missed) {
            next = batch.revision + 1;
            yield batch;
          }
          continue;
        }
        const batch = await queue.take(options.signal);
        if (batch === undefined) return;
        next = Math.max(next, batch.revision + 1);
        yield batch;
      }
    } finally {
      stopListening();
      stopProgress();
      this.#watches.delete(queue);
    }
  }

  async grantLease(ttlSeconds: number, options: { readonly keepAlive?: boolean } = {}): Promise<Lease> {
    this.#check('leaseGrant');
    if (!(ttlSeconds >= 1)) throw new RangeError(`a lease lasts at least 1 second, got ${ttlSeconds}`);
    const lease = new MemoryLease({
      store: this.#store,
      clock: this.#clock,
      ttlSeconds,
      keepAlive: options.keepAlive ?? true,
      isConnected: () => this.#state === 'connected',
      onEnd: (ended) => this.#leases.delete(ended),
    });
    this.#leases.add(lease);
    return lease;
  }

  async compact(revision: number): Promise<void> {
    this.#check('compact');
    this.#store.compact(revision);
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#endWatches();
    // As a client that goes away: its leases are no longer kept alive, and expire.
    for (const lease of this.#leases) lease.abandon();
  }

  /** Operations and watches fail with `unavailable`, leases are no longer kept alive. */
  disconnect(): void {
    this.#state = 'disconnected';
    this.#endWatches();
  }

  reconnect(): void {
    if (this.#state === 'disconnected') this.#state = 'connected';
  }

  #endWatches(): void {
    const error = new DatastoreError({ code: 'unavailable', operation: 'watch' });
    for (const queue of this.#watches) queue.fail(error);
  }

  #progress(queue: BatchQueue, intervalMs: number | undefined, isLagging: () => boolean): () => void {
    let cancel = (): void => {};
    const schedule = (): void => {
      cancel = this.#clock.schedule(intervalMs ?? DEFAULT_PROGRESS_INTERVAL_MS, () => {
        if (queue.size === 0 && !isLagging()) queue.push({ revision: this.#store.revision, events: [] });
        schedule();
      });
    };
    schedule();
    return () => cancel();
  }

  #check(operation: string, signal?: AbortSignal): void {
    if (signal?.aborted === true) throw new DatastoreError({ code: 'aborted', operation });
    if (this.#state !== 'connected') throw new DatastoreError({ code: 'unavailable', operation });
  }
}
