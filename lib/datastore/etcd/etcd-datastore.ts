// Datastore on etcd v3 through the etcd3 package, used as a thin gRPC binding: its watcher loses events, its retries
// repeat writes, its leases outlive the server's, so those three are our own (docs/datastore.md "etcd").

import { Etcd3, type IRangeRequest, type IRangeResponse } from 'etcd3';
import { Backoff, waitFor } from '../../lifecycle/backoff.ts';
import {
  type Datastore,
  DatastoreError,
  type KeyValue,
  type Lease,
  type ListOptions,
  type ListResult,
  type Operation,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchOptions,
} from '../datastore.ts';
import { LIST_PAGE_SIZE } from '../limits.ts';
import { isConnectionFailure, isOutOfRange, readError, writeError } from './errors.ts';
import { EtcdLease, type EtcdLeaseContext } from './etcd-lease.ts';
import { type EtcdWatchContext, etcdWatch } from './etcd-watch.ts';
import { listWhole } from './list-whole.ts';
import { type ConnectionState, type EtcdOptions, etcd3Options } from './options.ts';
import { fromKeyValue, fromResponses, prefixRange, toTransaction } from './wire.ts';

const READ_ATTEMPTS = 3;

export class EtcdDatastore implements Datastore {
  /** Unary calls. */
  readonly #etcd: Etcd3;
  /** Streams: the package drops all channels of a client when one of its streams fails, calls about to start too. */
  readonly #streams: Etcd3;
  readonly #options: EtcdOptions;
  readonly #closed = new AbortController();
  #state: ConnectionState | undefined;

  /** Connects at the first call. Throws what reading the PEM files throws. */
  constructor(options: EtcdOptions) {
    this.#options = options;
    this.#etcd = new Etcd3(etcd3Options(options));
    this.#streams = new Etcd3(etcd3Options(options));
  }

  /** Undefined before the first answer or failure. */
  get connectionState(): ConnectionState | undefined {
    return this.#state;
  }

  async get(
    key: string,
    options: { readonly revision?: number; readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly kv: KeyValue | undefined; readonly revision: number }> {
    const response = await this.#range('get', { key: Buffer.from(key) }, options);
    const kv = response.kvs[0];
    return {
      kv: kv === undefined ? undefined : fromKeyValue(kv),
      revision: Number(response.header.revision),
    };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    if (options.limit !== undefined && options.limit > 0) return this.#page(prefix, options, options.limit);
    return listWhole((page) => this.#page(prefix, page, LIST_PAGE_SIZE), options);
  }

  async transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult> {
    const isWrite = [...transaction.success, ...(transaction.failure ?? [])].some(
      (operation) => operation.type !== 'get',
    );
    if (signal?.aborted === true) throw new DatastoreError({ code: 'aborted', operation: 'txn' });
    try {
      // A write that is under way is waited for (its deadline bounds that): whoever undoes must know whether it was made.
      const response = await this.#call('txn', isWrite ? undefined : signal, () =>
        this.#etcd.kv.txn(toTransaction(transaction)),
      );
      const executed: readonly Operation[] = response.succeeded
        ? transaction.success
        : (transaction.failure ?? []);
      return {
        succeeded: response.succeeded,
        revision: Number(response.header.revision),
        results: fromResponses(executed, response.responses),
      };
    } catch (error) {
      throw this.#failed(isWrite ? writeError(error, 'txn') : readError(error, 'txn'));
    }
  }

  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    return this.#untilClosed(etcdWatch(this.#watchContext(), prefix, { ...options, signal }), options.signal);
  }

  async grantLease(ttlSeconds: number, options: { readonly keepAlive?: boolean } = {}): Promise<Lease> {
    if (!(ttlSeconds >= 1)) throw new RangeError(`a lease lasts at least 1 second, got ${ttlSeconds}`);
    const requestedMs = performance.now();
    try {
      const response = await this.#call('leaseGrant', undefined, () =>
        this.#etcd.leaseClient.leaseGrant({ TTL: Math.ceil(ttlSeconds) }),
      );
      return new EtcdLease(this.#leaseContext(), {
        id: response.ID,
        ttlSeconds: Number(response.TTL),
        requestedMs,
        keepAlive: options.keepAlive ?? true,
      });
    } catch (error) {
      throw this.#failed(readError(error, 'leaseGrant'));
    }
  }

  async compact(revision: number): Promise<void> {
    try {
      await this.#call('compact', undefined, () => this.#etcd.kv.compact({ revision, physical: true }));
    } catch (error) {
      throw this.#failed(await this.#rangeError(error, 'compact', revision));
    }
  }

  /** Ends watches (with `unavailable`) and the keeping alive of leases; these expire by themselves. */
  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#etcd.close();
    this.#streams.close();
  }

  async #page(prefix: string, options: ListOptions, limit: number): Promise<ListResult> {
    const response = await this.#range('list', { ...prefixRange(prefix, options.after), limit }, options);
    return {
      items: response.kvs.map(fromKeyValue),
      revision: options.revision ?? Number(response.header.revision),
      hasMore: response.more,
    };
  }

  async #range(
    operation: string,
    request: IRangeRequest,
    options: { readonly revision?: number; readonly signal?: AbortSignal },
  ): Promise<IRangeResponse> {
    const { revision, signal } = options;
    const atRevision = revision === undefined ? request : { ...request, revision };
    const backoff = new Backoff({ minMs: 50, maxMs: 500 });
    for (;;) {
      try {
        return await this.#call(operation, signal, () => this.#etcd.kv.range(atRevision));
      } catch (error) {
        const known = await this.#rangeError(error, operation, revision);
        const isWorthRetrying = known.type.code === 'unavailable' && !this.#closed.signal.aborted;
        const delayMs = backoff.next();
        if (!isWorthRetrying || backoff.attempts === READ_ATTEMPTS) throw this.#failed(known);
        if (!(await waitFor(delayMs, signal))) throw new DatastoreError({ code: 'aborted', operation });
      }
    }
  }

  /** Runs a call within its deadline; an abort leaves it to itself. */
  async #call<T>(operation: string, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
    if (this.#closed.signal.aborted) throw new DatastoreError({ code: 'unavailable', operation });
    const result = signal === undefined ? await call() : await untilAborted(signal, operation, call);
    this.#note('connected');
    return result;
  }

  /** "Out of range" is the past or the future: the store's revision tells which. */
  async #rangeError(
    error: unknown,
    operation: string,
    requested: number | undefined,
  ): Promise<DatastoreError> {
    if (requested === undefined || !isOutOfRange(error)) return readError(error, operation);
    try {
      const response = await this.#etcd.kv.range({ key: Buffer.from('/'), keys_only: true });
      if (requested > Number(response.header.revision)) return readError(error, operation);
      return new DatastoreError(
        { code: 'compacted', requested, compactRevision: undefined },
        { cause: error },
      );
    } catch (second) {
      return readError(second, operation);
    }
  }

  #watchContext(): EtcdWatchContext {
    return {
      openStream: () => this.#streams.watchClient.watch(),
      probe: async (prefix) => {
        const range = { ...prefixRange(prefix), limit: 1, keys_only: true };
        const response = await this.#range('watch', range, {});
        return Number(response.header.revision);
      },
      onConnected: () => this.#note('connected'),
      onLost: () => this.#note('lost'),
      progressTimeoutMs: this.#options.progressTimeoutMs ?? 5_000,
      reconnectMs: this.#options.watchReconnectMs ?? 5_000,
    };
  }

  #leaseContext(): EtcdLeaseContext {
    return {
      openStream: () => this.#streams.leaseClient.leaseKeepAlive(),
      revoke: async (id) => {
        try {
          await this.#call('leaseRevoke', undefined, () => this.#etcd.leaseClient.leaseRevoke({ ID: id }));
        } catch (error) {
          const known = readError(error, 'leaseRevoke');
          if (known.type.code !== 'leaseNotFound') throw this.#failed(known);
        }
      },
      closed: this.#closed.signal,
    };
  }

  async *#untilClosed(batches: AsyncIterable<WatchBatch>, signal: AbortSignal): AsyncIterable<WatchBatch> {
    yield* batches;
    if (!signal.aborted) throw new DatastoreError({ code: 'unavailable', operation: 'watch' });
  }

  #failed(error: DatastoreError): DatastoreError {
    if (isConnectionFailure(error)) this.#note('lost');
    return error;
  }

  #note(state: ConnectionState): void {
    if (this.#state === state || this.#closed.signal.aborted) return;
    this.#state = state;
    this.#options.onConnection?.(state);
  }
}

function untilAborted<T>(signal: AbortSignal, operation: string, call: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new DatastoreError({ code: 'aborted', operation }));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    call()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}
