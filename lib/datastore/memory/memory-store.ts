// etcd's multi-version store in memory: revisions, transactions, history, compaction, keys of a lease. No I/O, no clock.
// Follows etcd 3.5 (server/mvcc, apply): what a test sees here it sees on etcd, and one compliance suite runs on both.

import {
  type Compare,
  DatastoreError,
  type KeyValue,
  type Operation,
  type OperationResult,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchEvent,
} from '../datastore.ts';
import { MAX_REQUEST_BYTES, MAX_TRANSACTION_OPERATIONS } from '../limits.ts';
import { SortedKeys } from './sorted-keys.ts';

interface Version {
  readonly revision: number;
  /** Undefined: deleted at this revision. */
  readonly kv: KeyValue | undefined;
}

interface HistoryEntry {
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

export type CommitListener = (entry: WatchBatch) => void;

export class MemoryStore {
  /** As in etcd, an empty store is at revision 1. */
  #revision = 1;
  #compactRevision = 0;
  readonly #keys = new SortedKeys();
  readonly #versionsByKey = new Map<string, Version[]>();
  #history: HistoryEntry[] = [];
  readonly #keysByLease = new Map<string, Set<string>>();
  readonly #leaseByKey = new Map<string, string>();
  readonly #listeners = new Set<CommitListener>();
  #nextLease = 1;

  get revision(): number {
    return this.#revision;
  }

  /** Called at each commit, before the transaction's caller hears of it; the function returned ends it. */
  onCommit(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(key: string, revision?: number): KeyValue | undefined {
    return this.#read(key, this.#readableRevision(revision));
  }

  /** Keys with `prefix` greater than `after`, in order; one more than `limit` is never read. */
  list(
    prefix: string,
    options: { readonly revision?: number; readonly limit?: number; readonly after?: string } = {},
  ): { readonly items: readonly KeyValue[]; readonly revision: number; readonly hasMore: boolean } {
    const revision = this.#readableRevision(options.revision);
    const limit =
      options.limit === undefined || options.limit <= 0 ? Number.POSITIVE_INFINITY : options.limit;
    const items: KeyValue[] = [];
    for (const key of this.#keys.from(prefix, options.after)) {
      if (!key.startsWith(prefix)) break;
      const kv = this.#read(key, revision);
      if (kv === undefined) continue;
      if (items.length >= limit) return { items, revision, hasMore: true };
      items.push(kv);
    }
    return { items, revision, hasMore: false };
  }

  transact(transaction: Transaction): TransactionResult {
    checkTransaction(transaction);
    const succeeded = transaction.compare.every((compare) => this.#holds(compare));
    const operations = succeeded ? transaction.success : (transaction.failure ?? []);
    for (const operation of operations) this.#checkLease(operation);
    const writer = new Map<string, WatchEvent>();
    const results = operations.map((operation) => this.#execute(operation, writer));
    this.#commit([...writer.values()]);
    return { succeeded, revision: this.#revision, results };
  }

  /** Events from `fromRevision` on, and the revision up to which they are complete. */
  eventsFrom(prefix: string, fromRevision: number): WatchBatch[] {
    if (fromRevision <= this.#compactRevision) {
      throw new DatastoreError({
        code: 'compacted',
        requested: fromRevision,
        compactRevision: this.#compactRevision,
      });
    }
    return this.#history
      .filter((entry) => entry.revision >= fromRevision)
      .map((entry) => ({
        revision: entry.revision,
        events: entry.events.filter((event) => isUnder(event, prefix)),
      }))
      .filter((batch) => batch.events.length > 0);
  }

  /** Forgets what was overwritten or deleted at or before `revision`. */
  compact(revision: number): void {
    if (revision <= this.#compactRevision) {
      throw new DatastoreError({
        code: 'compacted',
        requested: revision,
        compactRevision: this.#compactRevision,
      });
    }
    if (revision > this.#revision) throw futureRevision('compact', revision);
    this.#compactRevision = revision;
    this.#history = this.#history.filter((entry) => entry.revision > revision);
    for (const [key, versions] of this.#versionsByKey) {
      const current = versions.findLastIndex((version) => version.revision <= revision);
      if (current > 0) versions.splice(0, current);
      const oldest = versions[0];
      if (oldest !== undefined && oldest.revision <= revision && oldest.kv === undefined) versions.shift();
      if (versions.length > 0) continue;
      this.#versionsByKey.delete(key);
      this.#keys.delete(key);
    }
  }

  createLease(): string {
    const id = String(this.#nextLease++);
    this.#keysByLease.set(id, new Set());
    return id;
  }

  hasLease(id: string): boolean {
    return this.#keysByLease.has(id);
  }

  /** Deletes the lease and, in one revision, its keys; false if there is no such lease. */
  dropLease(id: string): boolean {
    const keys = this.#keysByLease.get(id);
    if (keys === undefined) return false;
    const writer = new Map<string, WatchEvent>();
    for (const key of [...keys].sort()) this.#delete(key, writer);
    this.#keysByLease.delete(id);
    this.#commit([...writer.values()]);
    return true;
  }

  #readableRevision(revision: number | undefined): number {
    if (revision === undefined) return this.#revision;
    if (revision > this.#revision) throw futureRevision('range', revision);
    if (revision < this.#compactRevision) {
      throw new DatastoreError({
        code: 'compacted',
        requested: revision,
        compactRevision: this.#compactRevision,
      });
    }
    return revision;
  }

  #read(key: string, revision: number): KeyValue | undefined {
    return this.#versionsByKey.get(key)?.findLast((version) => version.revision <= revision)?.kv;
  }

  #current(key: string): KeyValue | undefined {
    return this.#versionsByKey.get(key)?.at(-1)?.kv;
  }

  #holds(compare: Compare): boolean {
    const kv = this.#current(compare.key);
    if ('modRevision' in compare) return (kv?.modRevision ?? 0) === compare.modRevision;
    return (kv?.createRevision ?? 0) === compare.createRevision;
  }

  #checkLease(operation: Operation): void {
    if (operation.type !== 'put' || operation.lease === undefined) return;
    if (!this.#keysByLease.has(operation.lease)) {
      throw new DatastoreError({ code: 'leaseNotFound', operation: 'txn' });
    }
  }

  #execute(operation: Operation, writer: Map<string, WatchEvent>): OperationResult {
    switch (operation.type) {
      case 'get':
        return { type: 'get', kv: this.#current(operation.key) };
      case 'put':
        this.#put(operation.key, operation.value, operation.lease, writer);
        return { type: 'put' };
      case 'delete': {
        const deleted = this.#delete(operation.key, writer);
        return { type: 'delete', deleted: deleted === undefined ? [] : [deleted] };
      }
      case 'deletePrefix': {
        const keys = this.list(operation.prefix).items.map((kv) => kv.key);
        const deleted = keys.map((key) => this.#delete(key, writer)).filter((kv) => kv !== undefined);
        return { type: 'delete', deleted };
      }
    }
  }

  #put(key: string, value: string, lease: string | undefined, writer: Map<string, WatchEvent>): void {
    const previous = this.#current(key);
    const revision = this.#revision + 1;
    const kv: KeyValue = {
      key,
      value,
      modRevision: revision,
      createRevision: previous?.createRevision ?? revision,
    };
    this.#addVersion(key, { revision, kv });
    this.#attach(key, lease);
    writer.set(key, { type: 'put', kv, previous });
  }

  #delete(key: string, writer: Map<string, WatchEvent>): KeyValue | undefined {
    const previous = this.#current(key);
    if (previous === undefined) return undefined;
    const revision = this.#revision + 1;
    this.#addVersion(key, { revision, kv: undefined });
    this.#attach(key, undefined);
    writer.set(key, { type: 'delete', key, revision, previous });
    return previous;
  }

  #addVersion(key: string, version: Version): void {
    const versions = this.#versionsByKey.get(key);
    if (versions !== undefined) {
      versions.push(version);
      return;
    }
    this.#versionsByKey.set(key, [version]);
    this.#keys.add(key);
  }

  /** A put without lease detaches the key from the one it had. */
  #attach(key: string, lease: string | undefined): void {
    const before = this.#leaseByKey.get(key);
    if (before !== undefined) this.#keysByLease.get(before)?.delete(key);
    this.#leaseByKey.delete(key);
    if (lease === undefined) return;
    this.#keysByLease.get(lease)?.add(key);
    this.#leaseByKey.set(key, lease);
  }

  #commit(events: readonly WatchEvent[]): void {
    if (events.length === 0) return;
    this.#revision += 1;
    const entry = { revision: this.#revision, events };
    this.#history.push(entry);
    for (const listener of this.#listeners) listener(entry);
  }
}

export function isUnder(event: WatchEvent, prefix: string): boolean {
  return (event.type === 'put' ? event.kv.key : event.key).startsWith(prefix);
}

function futureRevision(operation: string, revision: number): DatastoreError {
  return new DatastoreError({
    code: 'failed',
    operation,
    reason: `revision ${revision} is in the future`,
  });
}

function checkTransaction(transaction: Transaction): void {
  const { compare, success, failure = [] } = transaction;
  const longest = Math.max(compare.length, success.length, failure.length);
  if (longest > MAX_TRANSACTION_OPERATIONS) {
    throw new DatastoreError({
      code: 'failed',
      operation: 'txn',
      reason: `${longest} operations, at most ${MAX_TRANSACTION_OPERATIONS}`,
    });
  }
  let sizeBytes = 0;
  for (const operations of [success, failure]) {
    checkKeysWrittenOnce(operations);
    for (const operation of operations) {
      if (operation.type === 'put') sizeBytes += Buffer.byteLength(operation.value) + operation.key.length;
    }
  }
  if (sizeBytes > MAX_REQUEST_BYTES) {
    throw new DatastoreError({
      code: 'failed',
      operation: 'txn',
      reason: `request of ${sizeBytes} octets, at most ${MAX_REQUEST_BYTES}`,
    });
  }
}

/** etcd refuses a transaction that puts a key twice, or puts and deletes it. */
function checkKeysWrittenOnce(operations: readonly Operation[]): void {
  const put = new Set<string>();
  for (const operation of operations) {
    if (operation.type !== 'put') continue;
    const isDeleted = operations.some(
      (other) =>
        (other.type === 'delete' && other.key === operation.key) ||
        (other.type === 'deletePrefix' && operation.key.startsWith(other.prefix)),
    );
    if (put.has(operation.key) || isDeleted) {
      throw new DatastoreError({
        code: 'failed',
        operation: 'txn',
        reason: `key ${operation.key} is written twice`,
      });
    }
    put.add(operation.key);
  }
}
