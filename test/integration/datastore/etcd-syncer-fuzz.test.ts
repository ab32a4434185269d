// Random writes, compactions and cuts between a syncer and a real etcd: the consumer ends with what the store holds.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EtcdDatastore } from '../../../lib/datastore/etcd/etcd-datastore.ts';
import { Syncer } from '../../../lib/datastore/syncer.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { put, remove } from '../../support/datastore-compliance.ts';
import { type EtcdServer, startEtcd } from '../../support/etcd.ts';
import { SeededRandom } from '../../support/random.ts';
import { RecordingConsumer } from '../../support/recording-consumer.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const STEPS = 250;

let etcd: EtcdServer;
let proxy: TcpProxy;
let writer: EtcdDatastore;
beforeAll(async () => {
  etcd = await startEtcd();
  proxy = await TcpProxy.start(etcd.port);
  writer = new EtcdDatastore({ endpoints: [etcd.endpoint] });
});
afterAll(async () => {
  await writer.close();
  await proxy.stop();
  await etcd.stop();
});

async function step(random: SeededRandom, prefix: string): Promise<void> {
  const key = `${prefix}${random.below(8)}`;
  const action = random.below(100);
  if (action < 55) await put(writer, key, String(random.below(3)));
  else if (action < 85) await remove(writer, key);
  else if (action < 88) proxy.cut();
  else if (action < 90) proxy.close();
  else if (action < 96) proxy.open();
  else {
    const { revision } = await writer.get('/');
    // Where it was compacted already, nothing happens.
    await writer.compact(Math.max(1, revision - random.below(4))).catch(() => undefined);
  }
}

describe('Syncer on an etcd that is cut off and compacted at random', () => {
  it.each([1, 2, 3])(
    'holds what the store holds, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      const prefix = `/fuzz/${seed}/`;
      const store = new EtcdDatastore({ endpoints: [proxy.endpoint] });
      const consumer = new RecordingConsumer();
      const syncer = new Syncer({
        datastore: store,
        prefix,
        callbacks: consumer,
        logger: silentLogger(),
        random: () => random.next(),
        retry: { minMs: 5, maxMs: 50 },
        pageSize: 3,
        progressIntervalMs: 100,
      });
      await syncer.start();
      try {
        for (let count = 0; count < STEPS; count += 1) {
          await step(random, prefix);
          if (random.below(10) > 0 || !proxy.isOpen) continue;
          // Now and then it may catch up, so that cuts hit watches that are in step as well.
          const { revision } = await writer.get('/');
          await consumer.until(() => syncer.revision >= revision, 15_000);
        }
        proxy.open();
        const last = await put(writer, `${prefix}end`, '');
        await consumer.until(() => syncer.status === 'inSync' && syncer.revision >= last, 15_000);
        const { items } = await writer.list(prefix);
        expect([...consumer.valueByKey].sort()).toEqual(items.map((kv) => [kv.key, kv.value]));
        expect(consumer.contradictions).toEqual([]);
        expect(consumer.updates.length).toBeGreaterThan(STEPS / 4);
        process.stderr.write(`seed ${seed}: ${consumer.updates.length} updates, ${syncer.relists} relists\n`);
      } finally {
        await syncer.stop();
        await store.close();
      }
    },
    30_000,
  );
});
