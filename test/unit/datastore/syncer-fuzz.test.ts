// Random writes, compactions and losses: whatever the order, the consumer ends with what the store holds, and each
// update's `previous` is what it had been told before.
import { describe, expect, it } from '@jest/globals';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { MemoryStore } from '../../../lib/datastore/memory/memory-store.ts';
import { Syncer } from '../../../lib/datastore/syncer.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { put, remove } from '../../support/datastore-compliance.ts';
import { SeededRandom } from '../../support/random.ts';
import { RecordingConsumer } from '../../support/recording-consumer.ts';

const RUNS = 60;
const STEPS = 80;

async function step(random: SeededRandom, writer: MemoryDatastore, cut: MemoryDatastore): Promise<void> {
  const key = `/${random.below(4) === 0 ? 'b' : 'a'}/${random.below(6)}`;
  const action = random.below(20);
  if (action < 9) await put(writer, key, String(random.below(3)));
  else if (action < 14) await remove(writer, key);
  else if (action < 16) cut.disconnect();
  else if (action < 18) cut.reconnect();
  else {
    const { revision } = await writer.get('/');
    // Where it was compacted already, nothing happens.
    await writer.compact(Math.max(1, revision - random.below(4))).catch(() => undefined);
  }
  for (let turns = random.below(4); turns > 0; turns -= 1) await new Promise(setImmediate);
}

describe('Syncer under random writes, losses and compactions', () => {
  it.each(Array.from({ length: RUNS }, (_, index) => index + 1))(
    'holds what the store holds, seed %i',
    async (seed) => {
      const random = new SeededRandom(seed);
      const store = new MemoryStore();
      const writer = new MemoryDatastore({ store });
      const cut = new MemoryDatastore({ store });
      const consumer = new RecordingConsumer();
      const syncer = new Syncer({
        datastore: cut,
        prefix: '/a/',
        callbacks: consumer,
        logger: silentLogger(),
        random: () => random.next(),
        retry: { minMs: 0.5, maxMs: 2 },
        pageSize: 2,
        progressIntervalMs: 1,
      });
      await syncer.start();
      try {
        for (let count = 0; count < STEPS; count += 1) await step(random, writer, cut);
        cut.reconnect();
        await consumer.until(() => syncer.status === 'inSync' && syncer.revision === store.revision);
        const { items } = await writer.list('/a/');
        expect([...consumer.valueByKey].sort()).toEqual(items.map((kv) => [kv.key, kv.value]));
        expect(consumer.contradictions).toEqual([]);
        expect([...consumer.revisions].sort((a, b) => a - b)).toEqual(consumer.revisions);
      } finally {
        await syncer.stop();
      }
    },
  );
});
