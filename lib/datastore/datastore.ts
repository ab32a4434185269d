// The key-value store below everything: etcd v3's operations and no more, so that etcd and the in-memory twin agree.
// Resource semantics are in resource-client.ts, list-then-watch in syncer.ts.

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Store revision of the last write of this key. */
  readonly modRevision: number;
  readonly createRevision: number;
}

export type Compare =
  /** The key was last written at this revision; 0 means that it does not exist. */
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly createRevision: number };

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'deletePrefix'; readonly prefix: string }
  | { readonly type: 'get'; readonly key: string };

export interface Transaction {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure?: readonly Operation[];
}

export type OperationResult =
  | { readonly type: 'put' }
  | { readonly type: 'delete'; readonly deleted: readonly KeyValue[] }
  | { readonly type: 'get'; readonly kv: KeyValue | undefined };

export interface TransactionResult {
  readonly succeeded: boolean;
  /** Store revision after the transaction: the modRevision of what it wrote. */
  readonly revision: number;
  readonly results: readonly OperationResult[];
}

export interface ListOptions {
  /** Read at this revision (still to be had, else `compacted`); the newest if left out. */
  readonly revision?: number;
  readonly limit?: number;
  /** Only keys greater than this one: the last key of the page before. */
  readonly after?: string;
  readonly signal?: AbortSignal;
}

export interface ListResult {
  /** In key order. */
  readonly items: readonly KeyValue[];
  /** Store revision at which the list is true. */
  readonly revision: number;
  readonly hasMore: boolean;
}

export type WatchEvent =
  | { readonly type: 'put'; readonly kv: KeyValue; readonly previous: KeyValue | undefined }
  /** `revision` is that of the deletion. */
  | {
      readonly type: 'delete';
      readonly key: string;
      readonly revision: number;
      readonly previous: KeyValue | undefined;
    };

export interface WatchBatch {
  /** Events of whole revisions only, in order; empty for a progress notification. */
  readonly events: readonly WatchEvent[];
  /** Everything up to this revision has been delivered. */
  readonly revision: number;
}

export interface WatchOptions {
  /** First revision to deliver. */
  readonly fromRevision: number;
  readonly signal: AbortSignal;
  /** Quiet time after which a progress batch is asked for; at most 10 s, 3 s if left out. */
  readonly progressIntervalMs?: number;
}

/** Counts from the grant; gone when not kept alive for `ttlSeconds`. */
export interface Lease {
  readonly id: string;
  readonly ttlSeconds: number;
  /** Milliseconds (monotonic, performance.now()) until which the lease is certain to hold. */
  validUntil(): number;
  /** Aborted once the lease is lost or revoked. */
  readonly lost: AbortSignal;
  revoke(): Promise<void>;
}

export interface Datastore {
  get(
    key: string,
    options?: { readonly revision?: number; readonly signal?: AbortSignal },
  ): Promise<{ readonly kv: KeyValue | undefined; readonly revision: number }>;
  /** Keys that begin with `prefix`. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /**
   * Never retried when its outcome is unknown (`outcomeUnknown`): the caller reads back. A signal keeps a write from being
   * begun; one that is under way is waited for, so `aborted` means that nothing was written.
   */
  transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult>;
  /**
   * Events of keys with `prefix`, from `fromRevision` on, each once and in order, across reconnections. Ends by
   * throwing: `compacted` when the revision is gone (list again), `unavailable` when the connection cannot be kept;
   * returns when the signal aborts. Never silently stalls: without events a progress batch comes at least every 10 s (etcd: by request).
   */
  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch>;
  /** Grants a lease that is kept alive until revoked, lost, or the datastore closes. `keepAlive: false`: it just expires. */
  grantLease(ttlSeconds: number, options?: { readonly keepAlive?: boolean }): Promise<Lease>;
  /** For tests and maintenance: forget revisions below. */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}

export type DatastoreErrorType =
  | { readonly code: 'unavailable'; readonly operation: string }
  | { readonly code: 'timeout'; readonly operation: string }
  | { readonly code: 'outcomeUnknown'; readonly operation: string }
  | { readonly code: 'compacted'; readonly requested: number; readonly compactRevision: number | undefined }
  | { readonly code: 'permissionDenied'; readonly operation: string }
  /** The lease of a put, or the one to revoke, has expired or never was. */
  | { readonly code: 'leaseNotFound'; readonly operation: string }
  | { readonly code: 'aborted'; readonly operation: string }
  | { readonly code: 'failed'; readonly operation: string; readonly reason: string };

export class DatastoreError extends Error {
  readonly type: DatastoreErrorType;

  constructor(type: DatastoreErrorType, options?: { readonly cause?: unknown }) {
    super(describe(type), options);
    this.name = 'DatastoreError';
    this.type = type;
  }
}

function describe(type: DatastoreErrorType): string {
  switch (type.code) {
    case 'unavailable':
      return `datastore unavailable during ${type.operation}`;
    case 'timeout':
      return `datastore did not answer ${type.operation} in time`;
    case 'outcomeUnknown':
      return `the outcome of ${type.operation} is unknown`;
    case 'compacted':
      return `revision ${type.requested} has been compacted`;
    case 'permissionDenied':
      return `permission denied for ${type.operation}`;
    case 'leaseNotFound':
      return `the lease of ${type.operation} does not exist (any more)`;
    case 'aborted':
      return `${type.operation} was aborted`;
    case 'failed':
      return `${type.operation} failed: ${type.reason}`;
  }
}
