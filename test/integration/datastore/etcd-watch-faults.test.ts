// Watches and syncers on a real etcd whose connection is cut, whose history is compacted, that freezes, restarts, or is
// replaced by an empty one: nothing is lost.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { EtcdDatastore } from '../../../lib/datastore/etcd/etcd-datastore.ts';
import type { ConnectionState } from '../../../lib/datastore/etcd/options.ts';
import { Syncer } from '../../../lib/datastore/syncer.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { codeOf, collect, put, remove } from '../../support/datastore-compliance.ts';
import { type EtcdServer, freePort, startEtcd } from '../../support/etcd.ts';
import { freeze } from '../../support/freeze.ts';
import { RecordingConsumer } from '../../support/recording-consumer.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startSyncer(
  datastore: EtcdDatastore,
  prefix: string,
): Promise<{ consumer: RecordingConsumer; syncer: Syncer }> {
  const consumer = new RecordingConsumer();
  const syncer = new Syncer({
    datastore,
    prefix,
    callbacks: consumer,
    logger: silentLogger(),
    retry: { minMs: 10, maxMs: 100 },
  });
  cleanups.push(() => syncer.stop());
  await syncer.start();
  await consumer.until(() => consumer.statuses.at(-1) === 'inSync');
  return { consumer, syncer };
}

function connect(endpoint: string, onConnection?: (state: ConnectionState) => void): EtcdDatastore {
  const store = new EtcdDatastore({
    endpoints: [endpoint],
    ...(onConnection === undefined ? {} : { onConnection }),
  });
  cleanups.push(() => store.close());
  return store;
}

async function putMany(store: EtcdDatastore, prefix: string, count: number, value = ''): Promise<number[]> {
  const revisions: number[] = [];
  for (let index = 0; index < count; ) {
    const burst = Array.from({ length: Math.min(100, count - index) }, (_, offset) => index + offset);
    const written = await Promise.all(
      burst.map((number) => put(store, `${prefix}${number % 50}`, `${number}${value}`)),
    );
    revisions.push(...written);
    index += burst.length;
  }
  return revisions.sort((a, b) => a - b);
}

describe('a connection that is cut', () => {
  let etcd: EtcdServer;
  let proxy: TcpProxy;
  beforeAll(async () => {
    etcd = await startEtcd();
    proxy = await TcpProxy.start(etcd.port);
  });
  afterAll(async () => {
    await proxy.stop();
    await etcd.stop();
  });
  afterEach(() => proxy.open());

  it('loses none of 3,000 events when cut again and again while it catches up', async () => {
    const direct = connect(etcd.endpoint);
    const revisions = await putMany(direct, '/catch-up/', 3_000, 'x'.repeat(200));
    const store = connect(proxy.endpoint);
    await store.get('/');
    const cutsBefore = proxy.cuts;
    const firstCutBytes = 20_000;
    proxy.cutAfter(firstCutBytes);
    const received: number[] = [];
    const over = new AbortController();
    const deadline = AbortSignal.timeout(20_000);
    const signal = AbortSignal.any([over.signal, deadline]);
    for await (const batch of store.watch('/catch-up/', { fromRevision: revisions[0] ?? 0, signal })) {
      const isFirst = received.length === 0;
      for (const event of batch.events) {
        received.push(event.type === 'put' ? event.kv.modRevision : event.revision);
      }
      if (received.length >= 3_000) over.abort();
      // Again in the middle of what follows the first page.
      else if (isFirst) proxy.cutAfter(300_000);
    }
    expect(proxy.cuts - cutsBefore).toBeGreaterThanOrEqual(2);
    expect(received).toEqual(revisions);
  }, 30_000);

  it('delivers what was written while it was away, without listing again', async () => {
    const direct = connect(etcd.endpoint);
    const { consumer, syncer } = await startSyncer(connect(proxy.endpoint), '/away/');
    proxy.close();
    await put(direct, '/away/a', '1');
    await put(direct, '/away/b', '1');
    await remove(direct, '/away/a');
    proxy.open();
    await consumer.until(() => consumer.updates.length === 3);
    expect(consumer.log()).toEqual(['+/away/a=1', '+/away/b=1', '-/away/a']);
    expect(syncer.relists).toBe(0);
    expect(consumer.contradictions).toEqual([]);
  });

  it.each(['at', 'past'])(
    'lists again with the right deletions when history is compacted %s the revision it resumes from',
    async (where) => {
      const direct = connect(etcd.endpoint);
      const prefix = `/compacted-${where}/`;
      for (const name of ['gone', 'kept', 'changed']) await put(direct, prefix + name, '1');
      const { consumer, syncer } = await startSyncer(connect(proxy.endpoint), prefix);
      const known = consumer.updates.length;
      proxy.close();
      // The very next revision is a deletion: of all events the one that a relist must make up.
      let compactAt = await remove(direct, `${prefix}gone`);
      expect(compactAt).toBe(syncer.revision + 1);
      if (where === 'past') {
        await put(direct, `${prefix}changed`, '2');
        await put(direct, `${prefix}new`, '1');
        compactAt = await put(direct, `${prefix}new`, '2');
      }
      await direct.compact(compactAt);
      proxy.open();
      await consumer.until(() => !consumer.valueByKey.has(`${prefix}gone`));
      await consumer.until(() => consumer.statuses.at(-1) === 'inSync');
      expect(syncer.relists).toBe(1);
      expect(consumer.log(known)).toEqual(
        where === 'at' ? [`-${prefix}gone`] : [`+${prefix}changed=2`, `+${prefix}new=2`, `-${prefix}gone`],
      );
      expect(consumer.contradictions).toEqual([]);
    },
  );

  it('throws unavailable when it cannot be had again', async () => {
    const states: ConnectionState[] = [];
    const store = new EtcdDatastore({
      endpoints: [proxy.endpoint],
      watchReconnectMs: 500,
      onConnection: (state) => states.push(state),
    });
    cleanups.push(() => store.close());
    const { revision } = await store.get('/');
    let isClosed = false;
    const watching = collect(
      (signal) => store.watch('/', { fromRevision: revision + 1, signal, progressIntervalMs: 50 }),
      () => {
        if (!isClosed) proxy.close();
        isClosed = true;
        return false;
      },
    );
    expect(await codeOf(watching)).toBe('unavailable');
    expect(states).toEqual(['connected', 'lost']);
    proxy.open();
    await store.get('/');
    expect(states).toEqual(['connected', 'lost', 'connected']);
  });
});

describe('a server that fails', () => {
  it('is noticed within 15 s when frozen, and followed again when it thaws', async () => {
    const etcd = await startEtcd();
    cleanups.push(() => etcd.stop());
    const states: ConnectionState[] = [];
    let lostAtMs: number | undefined;
    const store = connect(etcd.endpoint, (state) => {
      states.push(state);
      if (state === 'lost') lostAtMs ??= performance.now();
    });
    await put(store, '/a', '1');
    const { consumer } = await startSyncer(store, '/');
    const frozenAtMs = performance.now();
    await freeze(etcd.process.pid);
    const pending = codeOf(put(store, '/b', 'in flight'));
    await new Promise<void>((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error('not noticed within 15 s')), 15_000);
      const poll = setInterval(() => {
        if (lostAtMs === undefined) return;
        clearTimeout(deadline);
        clearInterval(poll);
        resolve();
      }, 20);
    });
    process.stderr.write(`frozen etcd noticed after ${Math.round((lostAtMs ?? 0) - frozenAtMs)} ms\n`);
    expect((lostAtMs ?? Number.POSITIVE_INFINITY) - frozenAtMs).toBeLessThan(15_000);
    expect(await pending).toBe('outcomeUnknown');
    etcd.process.kill('SIGCONT');
    const writer = connect(etcd.endpoint);
    await untilServing(writer);
    await put(writer, '/c', 'after');
    await consumer.until(() => consumer.valueByKey.get('/c') === 'after', 15_000);
    await consumer.until(() => consumer.statuses.at(-1) === 'inSync', 15_000);
    const { items } = await writer.list('/');
    expect(Object.fromEntries(consumer.valueByKey)).toEqual(
      Object.fromEntries(items.map((kv) => [kv.key, kv.value])),
    );
    expect(consumer.contradictions).toEqual([]);
    expect(states.at(-1)).toBe('connected');
  }, 60_000);

  it('is noticed by a quiet watch alone, without any other call', async () => {
    const etcd = await startEtcd();
    cleanups.push(() => etcd.stop());
    const states: ConnectionState[] = [];
    let lostAtMs: number | undefined;
    const store = connect(etcd.endpoint, (state) => {
      states.push(state);
      if (state === 'lost') lostAtMs ??= performance.now();
    });
    const { consumer, syncer } = await startSyncer(store, '/');
    const frozenAtMs = performance.now();
    await freeze(etcd.process.pid);
    await consumer.until(() => consumer.statuses.at(-1) === 'waitForDatastore', 25_000);
    const leftInSyncMs = Math.round(performance.now() - frozenAtMs);
    process.stderr.write(
      `quiet watch lost after ${Math.round((lostAtMs ?? 0) - frozenAtMs)} ms, not in sync after ${leftInSyncMs} ms\n`,
    );
    expect(performance.now() - frozenAtMs).toBeLessThan(15_000);
    expect((lostAtMs ?? Number.POSITIVE_INFINITY) - frozenAtMs).toBeLessThan(15_000);
    expect(states).toEqual(['connected', 'lost']);
    etcd.process.kill('SIGCONT');
    await consumer.until(() => consumer.statuses.at(-1) === 'inSync', 15_000);
    expect(syncer.failure).toBeUndefined();
  }, 60_000);

  it('is followed after a kill and a restart on the same data', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'calico-ts-etcd-'));
    cleanups.push(() => rm(dataDir, { recursive: true, force: true }));
    const first = await startEtcd({ dataDir });
    cleanups.push(() => first.stop());
    const store = connect(first.endpoint);
    await put(store, '/a', '1');
    const { consumer, syncer } = await startSyncer(store, '/');
    first.process.kill('SIGKILL');
    await first.process.exited;
    const second = await startEtcd({ dataDir, port: first.port });
    cleanups.push(() => second.stop());
    const writer = connect(second.endpoint);
    await untilServing(writer);
    await put(writer, '/b', '2');
    await consumer.until(() => consumer.valueByKey.get('/b') === '2');
    expect(consumer.log()).toEqual(['+/a=1', '+/b=2']);
    expect(syncer.relists).toBeLessThanOrEqual(1);
  }, 30_000);

  it('is found to be another when it comes back empty: what it no longer holds is deleted', async () => {
    const port = await freePort();
    const first = await startEtcd({ port });
    cleanups.push(() => first.stop());
    const store = connect(first.endpoint);
    for (const name of ['a', 'b', 'c']) await put(store, `/${name}`, 'old');
    const { consumer } = await startSyncer(store, '/');
    await first.stop();
    const second = await startEtcd({ port });
    cleanups.push(() => second.stop());
    await consumer.until(() => consumer.valueByKey.size === 0, 15_000);
    expect(consumer.log(3).sort()).toEqual(['-/a', '-/b', '-/c']);
    const writer = connect(second.endpoint);
    await untilServing(writer);
    await put(writer, '/a', 'new');
    await consumer.until(() => consumer.valueByKey.get('/a') === 'new');
    expect(consumer.contradictions).toEqual([]);
  }, 30_000);
});

/** Reads fail fast while a client's own connection backs off. */
async function untilServing(store: EtcdDatastore): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    try {
      await store.get('/');
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
  }
}
