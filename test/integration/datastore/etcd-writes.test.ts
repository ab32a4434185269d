// Writes on a real etcd whose answers are lost, leases whose keep-alives are, and lists larger than a gRPC message.

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { EtcdDatastore } from '../../../lib/datastore/etcd/etcd-datastore.ts';
import { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import type { IPPool } from '../../../lib/model/endpoint-types.ts';
import { codeOf, collect, eventsOf, put } from '../../support/datastore-compliance.ts';
import { type EtcdServer, startEtcd } from '../../support/etcd.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

const waitUntil = (condition: () => boolean, timeoutMs = 10_000): Promise<void> =>
  until('what was waited for', condition, timeoutMs, 20);

let etcd: EtcdServer;
let proxy: TcpProxy;
let direct: EtcdDatastore;
let store: EtcdDatastore;
beforeAll(async () => {
  etcd = await startEtcd();
  proxy = await TcpProxy.start(etcd.port);
  direct = new EtcdDatastore({ endpoints: [etcd.endpoint] });
  store = new EtcdDatastore({ endpoints: [proxy.endpoint], callTimeoutMs: 2_000 });
});
afterEach(() => proxy.open());
afterAll(async () => {
  await store.close();
  await direct.close();
  await proxy.stop();
  await etcd.stop();
});

/** Waits until the key has been written by whoever, read past the proxy. */
async function untilWritten(key: string): Promise<number> {
  const { revision } = await direct.get(key);
  const batches = await collect(
    (signal) => direct.watch(key, { fromRevision: Math.max(1, revision - 10), signal }),
    (seen) => eventsOf(seen).length > 0,
  );
  const [event] = eventsOf(batches);
  return event?.type === 'put' ? event.kv.modRevision : 0;
}

describe('a write whose answer is lost', () => {
  it('is reported as unknown and was made exactly once', async () => {
    await store.get('/');
    proxy.swallowAnswers();
    const writing = codeOf(put(store, '/lost', 'mine'));
    const revision = await untilWritten('/lost');
    proxy.cut();
    expect(await writing).toBe('outcomeUnknown');
    proxy.open();
    const { kv } = await direct.get('/lost');
    expect(kv).toMatchObject({ createRevision: revision, modRevision: revision });
  });

  it('is known to be ours when a resource was created by it', async () => {
    const client = new ResourceClient({ datastore: store });
    const key = '/calico/resources/v3/projectcalico.org/ippools/once';
    await store.get('/');
    proxy.swallowAnswers();
    const pool: IPPool = {
      apiVersion: '',
      kind: 'IPPool',
      metadata: { name: 'once' },
      spec: { cidr: '10.0.0.0/16' },
    };
    const creating = client.create(pool);
    const revision = await untilWritten(key);
    proxy.open();
    proxy.cut();
    const created = await creating;
    expect(created.metadata.resourceVersion).toBe(String(revision));
    expect((await direct.get(key)).kv?.createRevision).toBe(revision);
  });

  it('is unavailable, not unknown, for a transaction that only reads', async () => {
    proxy.close();
    const reading = store.transact({ compare: [], success: [{ type: 'get', key: '/lost' }] });
    expect(await codeOf(reading)).toBe('unavailable');
    expect(await codeOf(store.get('/lost'))).toBe('unavailable');
  });
});

describe('a lease that can no longer be kept alive', () => {
  it('is lost by our clock before the server expires it, then its key goes', async () => {
    const lease = await store.grantLease(3);
    expect(lease.ttlSeconds).toBe(3);
    await put(store, '/leader', 'me', lease.id);
    const { revision } = await direct.get('/leader');
    proxy.close();
    await new Promise((resolve) => lease.lost.addEventListener('abort', resolve, { once: true }));
    expect(performance.now()).toBeGreaterThanOrEqual(lease.validUntil() - 1);
    expect((await direct.get('/leader')).kv?.value).toBe('me');
    const gone = await collect(
      (signal) => direct.watch('/leader', { fromRevision: revision + 1, signal }),
      (seen) => eventsOf(seen).length === 1,
    );
    expect(eventsOf(gone)[0]?.type).toBe('delete');
  }, 15_000);

  it('survives a cut that is shorter than its time', async () => {
    const lease = await store.grantLease(3);
    const until = lease.validUntil();
    proxy.cut();
    await waitUntil(() => lease.validUntil() > until + 1_500);
    expect(lease.lost.aborted).toBe(false);
    await lease.revoke();
  }, 15_000);

  it('is lost soon after another revokes it', async () => {
    const lease = await store.grantLease(3);
    const { Etcd3 } = await import('etcd3');
    const other = new Etcd3({ hosts: etcd.endpoint });
    await other.leaseClient.leaseRevoke({ ID: lease.id });
    other.close();
    await waitUntil(() => lease.lost.aborted, 3_000);
    expect(lease.lost.aborted).toBe(true);
  }, 15_000);
});

describe('a list of more than 5 MiB', () => {
  const COUNT = 700;
  const value = 'v'.repeat(8 * 1024);
  const totalBytes = (kvs: readonly { value: string }[]): number =>
    kvs.reduce((sum, kv) => sum + kv.value.length, 0);
  beforeAll(async () => {
    for (let index = 0; index < COUNT; index += 100) {
      const success = Array.from(
        { length: 100 },
        (_, offset) => ({ type: 'put', key: `/large/${index + offset}`, value }) as const,
      );
      await direct.transact({ compare: [], success });
    }
  });

  it('comes whole, in pages of one revision', async () => {
    const { items, revision, hasMore } = await store.list('/large/');
    expect(items).toHaveLength(COUNT);
    expect(totalBytes(items)).toBeGreaterThan(5 * 1024 * 1024);
    expect(new Set(items.map((kv) => kv.key)).size).toBe(COUNT);
    expect(hasMore).toBe(false);
    expect(revision).toBe((await direct.get('/')).revision);
  });

  it('is caught up by a watch too', async () => {
    const { items } = await direct.list('/large/', { limit: 1 });
    const batches = await collect(
      (signal) => store.watch('/large/', { fromRevision: items[0]?.modRevision ?? 1, signal }),
      (seen) => eventsOf(seen).length >= COUNT,
    );
    expect(eventsOf(batches)).toHaveLength(COUNT);
    // 100 keys were written in each transaction: no revision is torn, though the server sends it in fragments.
    expect(batches.every((batch) => batch.events.length % 100 === 0)).toBe(true);
  });

  it('says that its revision is compacted to who asks for the next page of it', async () => {
    const first = await store.list('/large/', { limit: 100 });
    await direct.compact(await put(direct, '/elsewhere', ''));
    const after = first.items.at(-1)?.key ?? '';
    const next = store.list('/large/', { limit: 100, after, revision: first.revision });
    expect(await codeOf(next)).toBe('compacted');
  });
});
