// The syncer on the in-memory twin: list then watch, loss, compaction, stall, and a store that was replaced.
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Datastore, WatchOptions } from '../../../lib/datastore/datastore.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { MemoryStore } from '../../../lib/datastore/memory/memory-store.ts';
import { MultiSyncer } from '../../../lib/datastore/multi-syncer.ts';
import { Syncer, type SyncerOptions } from '../../../lib/datastore/syncer.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { put, remove } from '../../support/datastore-compliance.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { RecordingConsumer } from '../../support/recording-consumer.ts';

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((syncer) => syncer.stop()));
});

async function startSyncer(
  datastore: Datastore,
  options: Partial<SyncerOptions> = {},
): Promise<{ consumer: RecordingConsumer; syncer: Syncer }> {
  const consumer = new RecordingConsumer();
  const syncer = new Syncer({
    datastore,
    prefix: '/a/',
    callbacks: consumer,
    logger: silentLogger(),
    retry: { minMs: 1, maxMs: 5 },
    ...options,
  });
  started.push(syncer);
  await syncer.start();
  return { consumer, syncer };
}

const isInSync = (consumer: RecordingConsumer) => () => consumer.statuses.at(-1) === 'inSync';

describe('Syncer', () => {
  it('lists in pages, says that it is in sync, then follows', async () => {
    const store = new MemoryDatastore();
    for (const name of ['1', '2', '3', '4', '5']) await put(store, `/a/${name}`, name);
    await put(store, '/b/other', '');
    const { consumer, syncer } = await startSyncer(store, { pageSize: 2 });
    await consumer.until(isInSync(consumer));
    expect(consumer.log()).toEqual(['+/a/1=1', '+/a/2=2', '+/a/3=3', '+/a/4=4', '+/a/5=5']);
    expect(consumer.statuses).toEqual(['waitForDatastore', 'resyncInProgress', 'inSync']);
    await put(store, '/a/1', 'new');
    const revision = await remove(store, '/a/2');
    await consumer.until(() => consumer.updates.length === 7);
    expect(consumer.log(5)).toEqual(['+/a/1=new', '-/a/2']);
    expect(consumer.contradictions).toEqual([]);
    expect(syncer.revision).toBe(revision);
    expect(syncer.get('/a/1')?.value).toBe('new');
    expect(syncer.size).toBe(4);
  });

  it('emits only the difference, with deletions, after a compaction while it was cut off', async () => {
    const store = new MemoryStore();
    const cut = new MemoryDatastore({ store });
    const writer = new MemoryDatastore({ store });
    for (const name of ['gone', 'changed', 'same', 'again']) await put(writer, `/a/${name}`, '1');
    const { consumer, syncer } = await startSyncer(cut);
    await consumer.until(isInSync(consumer));
    cut.disconnect();
    await consumer.until(() => consumer.statuses.at(-1) === 'waitForDatastore');
    expect(syncer.failure?.type.code).toBe('unavailable');
    await remove(writer, '/a/gone');
    await put(writer, '/a/changed', '2');
    await remove(writer, '/a/again');
    await put(writer, '/a/again', '1');
    const revision = await put(writer, '/a/new', '1');
    await writer.compact(revision);
    const before = consumer.updates.length;
    cut.reconnect();
    await consumer.until(isInSync(consumer));
    // `again` has the same value but is another object: its revision differs.
    expect(consumer.log(before)).toEqual(['+/a/again=1', '+/a/changed=2', '+/a/new=1', '-/a/gone']);
    expect(consumer.statuses.slice(3)).toEqual(['waitForDatastore', 'resyncInProgress', 'inSync']);
    expect(consumer.contradictions).toEqual([]);
    expect(syncer.failure).toBeUndefined();
  });

  it('lists again when a revision is compacted between two pages', async () => {
    const store = new MemoryDatastore();
    for (const name of ['1', '2', '3']) await put(store, `/a/${name}`, 'old');
    let pages = 0;
    const interrupted: Datastore = new Proxy(store, {
      get(target, property) {
        if (property === 'list') {
          return async (...args: Parameters<Datastore['list']>) => {
            pages += 1;
            if (pages === 2) {
              await remove(target, '/a/1');
              await target.compact(await put(target, '/a/3', 'new'));
            }
            return target.list(...args);
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const { consumer } = await startSyncer(interrupted, { pageSize: 1 });
    await consumer.until(isInSync(consumer));
    expect(consumer.log()).toEqual(['+/a/1=old', '+/a/2=old', '+/a/3=new', '-/a/1']);
    expect(Object.fromEntries(consumer.valueByKey)).toEqual({ '/a/2': 'old', '/a/3': 'new' });
  });

  it('gives up a watch that goes silent, and lists again', async () => {
    const clock = new ManualClock();
    const store = new MemoryDatastore({ clock });
    let watches = 0;
    const silent: Datastore = new Proxy(store, {
      get(target, property) {
        if (property === 'watch') {
          return (prefix: string, options: WatchOptions) => {
            watches += 1;
            // The first watch never says anything, as one whose server forgot it.
            return target.watch(watches === 1 ? '/nothing/' : prefix, {
              ...options,
              progressIntervalMs: 1e9,
            });
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const { consumer, syncer } = await startSyncer(silent, { clock, stallTimeoutMs: 30_000 });
    await consumer.until(() => watches === 1 && isInSync(consumer)());
    await put(store, '/a/unseen', '1');
    clock.advance(29_999);
    await new Promise(setImmediate);
    expect(consumer.updates).toEqual([]);
    clock.advance(1);
    await consumer.until(() => consumer.updates.length === 1 && isInSync(consumer)());
    expect(syncer.relists).toBe(1);
  });

  it('follows a store that was replaced, though revisions went back', async () => {
    const stores = [new MemoryStore(), new MemoryStore()];
    const [old, fresh] = stores.map((store) => new MemoryDatastore({ store }));
    if (old === undefined || fresh === undefined) throw new Error('two stores');
    await put(old, '/a/same-revision', 'old');
    await put(old, '/a/only-old', '');
    await put(fresh, '/a/same-revision', 'fresh');
    let current = old;
    const swapped: Datastore = new Proxy(old, {
      get(_target, property) {
        const value: unknown = Reflect.get(current, property, current);
        return typeof value === 'function' ? value.bind(current) : value;
      },
    });
    const { consumer, syncer } = await startSyncer(swapped);
    await consumer.until(isInSync(consumer));
    current = fresh;
    old.disconnect();
    await consumer.until(() => consumer.valueByKey.size === 1);
    await consumer.until(isInSync(consumer));
    expect(consumer.valueByKey.get('/a/same-revision')).toBe('fresh');
    expect(syncer.revision).toBe(2);
  });

  it('says nothing after stop, and stops while it waits', async () => {
    const store = new MemoryDatastore();
    store.disconnect();
    const { consumer, syncer } = await startSyncer(store, { retry: { minMs: 60_000, maxMs: 60_000 } });
    await consumer.until(() => syncer.failure !== undefined || consumer.statuses.length > 0);
    await syncer.stop();
    store.reconnect();
    await put(store, '/a/1', '');
    expect(consumer.updates).toEqual([]);
    expect(consumer.statuses).toEqual(['waitForDatastore']);
  });
});

describe('MultiSyncer', () => {
  it('is in sync when all its prefixes are, and as old as the oldest', async () => {
    const store = new MemoryStore();
    const first = new MemoryDatastore({ store });
    await put(first, '/a/1', 'a');
    await put(first, '/b/1', 'b');
    const consumer = new RecordingConsumer();
    const syncer = new MultiSyncer({
      datastore: first,
      prefixes: ['/a/', '/b/'],
      callbacks: consumer,
      logger: silentLogger(),
      progressIntervalMs: 10,
    });
    started.push(syncer);
    await syncer.start();
    await consumer.until(isInSync(consumer));
    expect(consumer.statuses).toEqual(['waitForDatastore', 'resyncInProgress', 'inSync']);
    expect(consumer.log().sort()).toEqual(['+/a/1=a', '+/b/1=b']);
    const written = await put(first, '/a/2', 'a');
    await consumer.until(() => consumer.updates.length === 3);
    const [ofA] = syncer.syncers;
    expect(ofA?.revision).toBe(written);
    // Only progress on the other prefix lets the whole advance.
    await consumer.until(() => syncer.revision === written);
    expect(consumer.revisions.at(-1)).toBe(written);
  });

  it('refuses prefixes that overlap', () => {
    const options = {
      datastore: new MemoryDatastore(),
      callbacks: new RecordingConsumer(),
      logger: silentLogger(),
    };
    expect(() => new MultiSyncer({ ...options, prefixes: ['/a/', '/a/b/'] })).toThrow(RangeError);
    expect(() => new MultiSyncer({ ...options, prefixes: [] })).toThrow(RangeError);
  });
});
