// The datastore as a leader writes it: each transaction also asks that it still leads, so that a controller which slept
// through the end of its lease (SIGSTOP, a suspended machine) can change nothing any more.

import type {
  Compare,
  Datastore,
  Lease,
  ListOptions,
  ListResult,
  Transaction,
  TransactionResult,
  WatchBatch,
  WatchOptions,
} from '../lib/datastore/datastore.ts';

export class FencedDatastore implements Datastore {
  readonly #datastore: Datastore;
  readonly #fence: Compare;

  /** `fence` holds while the election is won. Closing stays with the owner of `datastore`. */
  constructor(datastore: Datastore, fence: Compare) {
    this.#datastore = datastore;
    this.#fence = fence;
  }

  get(key: string, options?: { readonly revision?: number; readonly signal?: AbortSignal }) {
    return this.#datastore.get(key, options);
  }

  list(prefix: string, options?: ListOptions): Promise<ListResult> {
    return this.#datastore.list(prefix, options);
  }

  /** One that only reads needs no lead. A lost lead looks like any compare that failed. */
  transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult> {
    const isReading = transaction.success.every(({ type }) => type === 'get');
    if (isReading) return this.#datastore.transact(transaction, signal);
    return this.#datastore.transact(
      { ...transaction, compare: [...transaction.compare, this.#fence] },
      signal,
    );
  }

  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch> {
    return this.#datastore.watch(prefix, options);
  }

  grantLease(ttlSeconds: number, options?: { readonly keepAlive?: boolean }): Promise<Lease> {
    return this.#datastore.grantLease(ttlSeconds, options);
  }

  compact(revision: number): Promise<void> {
    return this.#datastore.compact(revision);
  }

  async close(): Promise<void> {}
}
