// What every Datastore must do, run on the real etcd and on the in-memory twin alike: one suite, so that they agree.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Datastore,
  DatastoreError,
  type KeyValue,
  type WatchBatch,
  type WatchEvent,
} from '../../lib/datastore/datastore.ts';

export interface ComplianceSubject {
  readonly store: Datastore;
  /** Lets this much time pass for leases: by waiting, or by moving a clock. */
  passTime(milliseconds: number): Promise<void>;
  stop(): Promise<void>;
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DatastoreError) return error.type.code;
    throw error;
  }
  return 'no error';
}

/** Puts one key and returns the revision. */
export async function put(store: Datastore, key: string, value: string, lease?: string): Promise<number> {
  const operation = { type: 'put', key, value, ...(lease === undefined ? {} : { lease }) } as const;
  return (await store.transact({ compare: [], success: [operation] })).revision;
}

export async function remove(store: Datastore, key: string): Promise<number> {
  return (await store.transact({ compare: [], success: [{ type: 'delete', key }] })).revision;
}

/** Reads a watch until `isEnough` says so or 10 s have passed. */
export async function collect(
  watch: (signal: AbortSignal) => AsyncIterable<WatchBatch>,
  isEnough: (batches: readonly WatchBatch[]) => boolean,
): Promise<WatchBatch[]> {
  const batches: WatchBatch[] = [];
  const signal = AbortSignal.timeout(10_000);
  const over = new AbortController();
  for await (const batch of watch(AbortSignal.any([signal, over.signal]))) {
    batches.push(batch);
    if (isEnough(batches)) over.abort();
  }
  if (!isEnough(batches)) throw new Error(`watch gave ${batches.length} batches in 10 s, not enough`);
  return batches;
}

export function eventsOf(batches: readonly WatchBatch[]): WatchEvent[] {
  return batches.flatMap((batch) => batch.events);
}

function shortEvent(event: WatchEvent): string {
  return event.type === 'put' ? `put ${event.kv.key}=${event.kv.value}` : `delete ${event.key}`;
}

export function describeDatastore(name: string, create: () => Promise<ComplianceSubject>): void {
  describe(`${name} as a Datastore`, () => {
    let subject: ComplianceSubject;
    let store: Datastore;
    let section = 0;
    /** A prefix of its own for each test: the store is shared. */
    const freshPrefix = (): string => `/compliance/${section++}/`;

    beforeAll(async () => {
      subject = await create();
      store = subject.store;
    });
    afterAll(async () => subject.stop());

    describeReads(() => store, freshPrefix);
    describeTransactions(() => store, freshPrefix);
    describeWatches(() => store, freshPrefix);
    describeLeases(() => subject, freshPrefix);
    describeCompaction(() => store, freshPrefix);
  });
}

type StoreOf = () => Datastore;
type FreshPrefix = () => string;

function describeReads(storeOf: StoreOf, freshPrefix: FreshPrefix): void {
  it('gives a key with the revision of its last write and of its creation', async () => {
    const key = `${freshPrefix()}a`;
    const first = await put(storeOf(), key, 'one');
    const second = await put(storeOf(), key, 'two — ümlaut');
    const { kv, revision } = await storeOf().get(key);
    expect(kv).toEqual({ key, value: 'two — ümlaut', modRevision: second, createRevision: first });
    expect(revision).toBe(second);
    expect((await storeOf().get(key, { revision: first })).kv?.value).toBe('one');
  });

  it('gives undefined for a key that is absent', async () => {
    expect((await storeOf().get(`${freshPrefix()}none`)).kv).toBeUndefined();
  });

  it('lists keys that begin with the prefix, in order, and no neighbour', async () => {
    const prefix = freshPrefix();
    for (const name of ['b/2', 'b/1', 'b', 'b0', 'a', 'b/10']) await put(storeOf(), prefix + name, name);
    const { items, hasMore } = await storeOf().list(`${prefix}b/`);
    expect(items.map((kv) => kv.value)).toEqual(['b/1', 'b/10', 'b/2']);
    expect(hasMore).toBe(false);
  });

  it('pages at one revision', async () => {
    const prefix = freshPrefix();
    for (let index = 0; index < 5; index += 1) await put(storeOf(), `${prefix}${index}`, 'old');
    const first = await storeOf().list(prefix, { limit: 2 });
    await put(storeOf(), `${prefix}3`, 'new');
    await remove(storeOf(), `${prefix}4`);
    const seen: KeyValue[] = [...first.items];
    let page = first;
    while (page.hasMore) {
      const after = page.items.at(-1)?.key;
      if (after === undefined) throw new Error('a page with more to come is empty');
      page = await storeOf().list(prefix, { limit: 2, after, revision: first.revision });
      seen.push(...page.items);
    }
    expect(seen.map((kv) => kv.key.slice(prefix.length) + kv.value)).toEqual([
      '0old',
      '1old',
      '2old',
      '3old',
      '4old',
    ]);
    expect((await storeOf().list(prefix)).items.map((kv) => kv.value)).toEqual(['old', 'old', 'old', 'new']);
  });

  it('refuses a revision that is still to come', async () => {
    const { revision } = await storeOf().get('x');
    expect(await codeOf(storeOf().get('x', { revision: revision + 1000 }))).toBe('failed');
  });

  it('answers an aborted call with aborted', async () => {
    expect(await codeOf(storeOf().get('x', { signal: AbortSignal.abort() }))).toBe('aborted');
    expect(await codeOf(storeOf().list('x', { signal: AbortSignal.abort() }))).toBe('aborted');
  });

  it('waits for the outcome of a write that is aborted under way, and begins none that was aborted before', async () => {
    const store = storeOf();
    const caller = new AbortController();
    const key = '/aborted/write';
    const write = { compare: [], success: [{ type: 'put', key, value: '1' }] } as const;
    expect(await codeOf(store.transact(write, AbortSignal.abort()))).toBe('aborted');
    expect(await store.get(key)).toMatchObject({ kv: undefined });
    const writing = store.transact(write, caller.signal);
    caller.abort();
    expect(await writing).toMatchObject({ succeeded: true });
  });
}

function describeTransactions(storeOf: StoreOf, freshPrefix: FreshPrefix): void {
  it('creates only where nothing is, and reads what is there otherwise', async () => {
    const key = `${freshPrefix()}a`;
    const create = (value: string) =>
      storeOf().transact({
        compare: [{ key, modRevision: 0 }],
        success: [{ type: 'put', key, value }],
        failure: [{ type: 'get', key }],
      });
    const first = await create('mine');
    expect(first).toMatchObject({ succeeded: true, results: [{ type: 'put' }] });
    const second = await create('other');
    expect(second.succeeded).toBe(false);
    expect(second.results).toEqual([
      {
        type: 'get',
        kv: { key, value: 'mine', modRevision: first.revision, createRevision: first.revision },
      },
    ]);
    expect(second.revision).toBe(first.revision);
  });

  it('compares the revision of creation too', async () => {
    const key = `${freshPrefix()}a`;
    const created = await put(storeOf(), key, '1');
    const changed = await put(storeOf(), key, '2');
    const check = async (createRevision: number) =>
      (await storeOf().transact({ compare: [{ key, createRevision }], success: [] })).succeeded;
    expect([await check(created), await check(changed), await check(0)]).toEqual([true, false, false]);
  });

  it('gives all writes of a transaction one revision', async () => {
    const prefix = freshPrefix();
    await put(storeOf(), `${prefix}gone`, '');
    const result = await storeOf().transact({
      compare: [],
      success: [
        { type: 'put', key: `${prefix}a`, value: '1' },
        { type: 'delete', key: `${prefix}gone` },
        { type: 'put', key: `${prefix}b`, value: '2' },
        { type: 'get', key: `${prefix}a` },
      ],
    });
    expect(result.results[1]).toMatchObject({ type: 'delete', deleted: [{ key: `${prefix}gone` }] });
    expect(result.results[3]).toMatchObject({
      type: 'get',
      kv: { value: '1', modRevision: result.revision },
    });
    const { items } = await storeOf().list(prefix);
    expect(items.map((kv) => kv.modRevision)).toEqual([result.revision, result.revision]);
  });

  it('deletes a prefix and says what was there', async () => {
    const prefix = freshPrefix();
    for (const name of ['x/1', 'x/2', 'y']) await put(storeOf(), prefix + name, name);
    const result = await storeOf().transact({
      compare: [],
      success: [{ type: 'deletePrefix', prefix: `${prefix}x/` }],
    });
    expect(result.results).toMatchObject([{ type: 'delete', deleted: [{ value: 'x/1' }, { value: 'x/2' }] }]);
    expect((await storeOf().list(prefix)).items.map((kv) => kv.value)).toEqual(['y']);
  });

  it('does not move the revision when nothing was written', async () => {
    const before = (await storeOf().get('x')).revision;
    expect(await remove(storeOf(), `${freshPrefix()}none`)).toBe(before);
  });

  it('refuses to write one key twice, and more operations than etcd takes', async () => {
    const key = `${freshPrefix()}a`;
    const twice = [
      { type: 'put', key, value: '1' },
      { type: 'put', key, value: '2' },
    ] as const;
    expect(await codeOf(storeOf().transact({ compare: [], success: twice }))).toBe('failed');
    const many = Array.from({ length: 129 }, (_, index) => ({ type: 'get', key: `${key}${index}` }) as const);
    expect(await codeOf(storeOf().transact({ compare: [], success: many }))).toBe('failed');
    const large = { type: 'put', key, value: 'x'.repeat(1_600_000) } as const;
    expect(await codeOf(storeOf().transact({ compare: [], success: [large] }))).toBe('failed');
    expect((await storeOf().get(key)).kv).toBeUndefined();
  });
}

function describeWatches(storeOf: StoreOf, freshPrefix: FreshPrefix): void {
  it('delivers history and then what happens, each once and in order, with what was there before', async () => {
    const prefix = freshPrefix();
    const from = await put(storeOf(), `${prefix}a`, '1');
    await put(storeOf(), `${prefix}a`, '2');
    let written = false;
    const batches = await collect(
      (signal) => storeOf().watch(prefix, { fromRevision: from, signal }),
      (seen) => {
        if (!written) {
          written = true;
          void put(storeOf(), `${prefix}b`, '3').then(() => remove(storeOf(), `${prefix}a`));
        }
        return eventsOf(seen).length >= 4;
      },
    );
    const events = eventsOf(batches);
    expect(events.map(shortEvent)).toEqual([
      `put ${prefix}a=1`,
      `put ${prefix}a=2`,
      `put ${prefix}b=3`,
      `delete ${prefix}a`,
    ]);
    expect(events.map((event) => event.previous?.value)).toEqual([undefined, '1', undefined, '2']);
    const revisions = batches.map((batch) => batch.revision);
    expect([...revisions].sort((a, b) => a - b)).toEqual(revisions);
    const last = events.at(-1);
    expect(last?.type === 'delete' ? last.revision : undefined).toBe(revisions.at(-1));
  });

  it('delivers a revision whole, and nothing of other prefixes or before the first revision asked for', async () => {
    const prefix = freshPrefix();
    await put(storeOf(), `${prefix}early`, '');
    await put(storeOf(), freshPrefix(), 'other');
    const { revision } = await storeOf().transact({
      compare: [],
      success: ['a', 'b', 'c'].map((name) => ({ type: 'put', key: prefix + name, value: name }) as const),
    });
    const batches = await collect(
      (signal) => storeOf().watch(prefix, { fromRevision: revision, signal }),
      (seen) => eventsOf(seen).length > 0,
    );
    expect(batches.filter((batch) => batch.events.length > 0)).toHaveLength(1);
    expect(eventsOf(batches).map(shortEvent).sort()).toEqual([
      `put ${prefix}a=a`,
      `put ${prefix}b=b`,
      `put ${prefix}c=c`,
    ]);
  });

  it('tells progress when nothing happens under the prefix', async () => {
    const from = (await storeOf().get('x')).revision + 1;
    const elsewhere = await put(storeOf(), freshPrefix(), '');
    const batches = await collect(
      (signal) => storeOf().watch(freshPrefix(), { fromRevision: from, signal, progressIntervalMs: 50 }),
      (seen) => seen.length >= 2,
    );
    expect(batches.map((batch) => batch.events.length)).toEqual([0, 0]);
    expect(batches[0]?.revision).toBe(elsewhere);
  });

  it('returns when its signal aborts, before and while waiting', async () => {
    const fromRevision = (await storeOf().get('x')).revision + 1;
    const over = new AbortController();
    const watch = storeOf()
      .watch(freshPrefix(), { fromRevision, signal: over.signal })
      [Symbol.asyncIterator]();
    const next = watch.next();
    over.abort();
    expect((await next).done).toBe(true);
    const late = storeOf().watch(freshPrefix(), { fromRevision, signal: AbortSignal.abort() });
    expect((await late[Symbol.asyncIterator]().next()).done).toBe(true);
  });
}

function describeLeases(subjectOf: () => ComplianceSubject, freshPrefix: FreshPrefix): void {
  it('deletes the keys of a lease that is not kept alive, in one revision', async () => {
    const { store, passTime } = subjectOf();
    const prefix = freshPrefix();
    const lease = await store.grantLease(2, { keepAlive: false });
    await put(store, `${prefix}a`, '', lease.id);
    const last = await put(store, `${prefix}b`, '', lease.id);
    const deletions = collect(
      (signal) => store.watch(prefix, { fromRevision: last + 1, signal }),
      (seen) => eventsOf(seen).length >= 2,
    );
    await passTime(2_200);
    const batches = (await deletions).filter((batch) => batch.events.length > 0);
    expect(batches).toHaveLength(1);
    expect(eventsOf(batches).map(shortEvent).sort()).toEqual([`delete ${prefix}a`, `delete ${prefix}b`]);
    expect(lease.lost.aborted).toBe(true);
  });

  it('keeps a lease alive past its time, and ends it with its keys when revoked', async () => {
    const { store, passTime } = subjectOf();
    const key = `${freshPrefix()}a`;
    const lease = await store.grantLease(2);
    const grantedUntil = lease.validUntil();
    await put(store, key, 'kept', lease.id);
    await passTime(3_000);
    expect((await store.get(key)).kv?.value).toBe('kept');
    expect(lease.lost.aborted).toBe(false);
    expect(lease.validUntil()).toBeGreaterThan(grantedUntil);
    await lease.revoke();
    expect(lease.lost.aborted).toBe(true);
    expect((await store.get(key)).kv).toBeUndefined();
  });

  it('refuses a put with a lease that is gone', async () => {
    const { store } = subjectOf();
    const lease = await store.grantLease(5);
    await lease.revoke();
    expect(await codeOf(put(store, `${freshPrefix()}a`, '', lease.id))).toBe('leaseNotFound');
  });

  it('keeps a key that was put again without the lease', async () => {
    const { store } = subjectOf();
    const key = `${freshPrefix()}a`;
    const lease = await store.grantLease(5);
    await put(store, key, '1', lease.id);
    await put(store, key, '2');
    await lease.revoke();
    expect((await store.get(key)).kv?.value).toBe('2');
  });
}

function describeCompaction(storeOf: StoreOf, freshPrefix: FreshPrefix): void {
  it('reads at the compacted revision and refuses what is older', async () => {
    const key = `${freshPrefix()}a`;
    const first = await put(storeOf(), key, '1');
    const second = await put(storeOf(), key, '2');
    await put(storeOf(), key, '3');
    await storeOf().compact(second);
    expect((await storeOf().get(key, { revision: second })).kv?.value).toBe('2');
    expect(await codeOf(storeOf().get(key, { revision: first }))).toBe('compacted');
    expect(await codeOf(storeOf().list(key, { revision: first }))).toBe('compacted');
    expect(await codeOf(storeOf().compact(second))).toBe('compacted');
  });

  it('ends a watch from a compacted revision, also from the very one, and serves the next', async () => {
    const prefix = freshPrefix();
    const first = await put(storeOf(), `${prefix}a`, '1');
    const second = await remove(storeOf(), `${prefix}a`);
    const third = await put(storeOf(), `${prefix}b`, '1');
    await storeOf().compact(second);
    const watchFrom = (fromRevision: number) =>
      collect(
        (signal) => storeOf().watch(prefix, { fromRevision, signal }),
        (seen) => eventsOf(seen).length > 0,
      );
    expect(await codeOf(watchFrom(first))).toBe('compacted');
    expect(await codeOf(watchFrom(second))).toBe('compacted');
    expect(eventsOf(await watchFrom(third)).map(shortEvent)).toEqual([`put ${prefix}b=1`]);
  });
}
