// A datastore whose writes are kept in memory, over what another one holds: the same code that would write says what it would
// write, and refuses what it would refuse, and nothing is stored (`calicoctl apply --dry-run=server` on etcd).

import type {
  Compare,
  Datastore,
  KeyValue,
  Lease,
  ListOptions,
  ListResult,
  Operation,
  OperationResult,
  Transaction,
  TransactionResult,
  WatchBatch,
} from './datastore.ts';

export class DryRunDatastore implements Datastore {
  readonly #below: Datastore;
  /** What was written here, by key; undefined: deleted. */
  readonly #written = new Map<string, KeyValue | undefined>();

  constructor(below: Datastore) {
    this.#below = below;
  }

  async get(
    key: string,
    options: { readonly revision?: number; readonly signal?: AbortSignal } = {},
  ): ReturnType<Datastore['get']> {
    const found = await this.#below.get(key, options);
    return this.#written.has(key) ? { ...found, kv: this.#written.get(key) } : found;
  }

  /** Whole, whatever the limit: pages of two sources would have to agree. */
  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    const { limit: _limit, ...whole } = options;
    const found = await this.#below.list(prefix, whole);
    const byKey = new Map(found.items.map((kv) => [kv.key, kv]));
    for (const [key, kv] of this.#written) {
      const isAsked = key.startsWith(prefix) && (options.after === undefined || key > options.after);
      if (!isAsked) continue;
      if (kv === undefined) byKey.delete(key);
      else byKey.set(key, kv);
    }
    return { ...found, items: [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1)) };
  }

  async transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult> {
    const options = signal === undefined ? {} : { signal };
    let revision = 0;
    let succeeded = true;
    for (const compare of transaction.compare) {
      const found = await this.get(compare.key, options);
      revision = found.revision;
      succeeded &&= holds(compare, found.kv);
    }
    const operations = succeeded ? transaction.success : (transaction.failure ?? []);
    const results: OperationResult[] = [];
    for (const operation of operations) results.push(await this.#do(operation, revision, options));
    return { succeeded, revision, results };
  }

  async #do(
    operation: Operation,
    revision: number,
    options: { readonly signal?: AbortSignal },
  ): Promise<OperationResult> {
    if (operation.type === 'get') return { type: 'get', kv: (await this.get(operation.key, options)).kv };
    if (operation.type === 'put') {
      const { key, value } = operation;
      const before = (await this.get(key, options)).kv;
      const createRevision = before?.createRevision ?? revision;
      this.#written.set(key, { key, value, modRevision: revision, createRevision });
      return { type: 'put' };
    }
    const deleted =
      operation.type === 'delete'
        ? [(await this.get(operation.key, options)).kv].filter((kv) => kv !== undefined)
        : (await this.list(operation.prefix, options)).items;
    for (const { key } of deleted) this.#written.set(key, undefined);
    return { type: 'delete', deleted };
  }

  watch(): AsyncIterable<WatchBatch> {
    throw new Error('a dry run watches nothing');
  }

  grantLease(): Promise<Lease> {
    throw new Error('a dry run holds no lease');
  }

  async compact(): Promise<void> {}

  /** The datastore below belongs to whoever made it. */
  async close(): Promise<void> {}
}

function holds(compare: Compare, kv: KeyValue | undefined): boolean {
  return 'modRevision' in compare
    ? (kv?.modRevision ?? 0) === compare.modRevision
    : (kv?.createRevision ?? 0) === compare.createRevision;
}
