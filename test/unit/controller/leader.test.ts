// One acts at a time, and one that no longer leads can write nothing.

import { afterEach, describe, expect, it } from '@jest/globals';
import { Api, ForeignRegistryError } from '../../../controller/api/api.ts';
import { FencedDatastore } from '../../../controller/fenced-datastore.ts';
import { LeaderElection } from '../../../controller/leader-election.ts';
import { ControllerMetrics } from '../../../controller/metrics.ts';
import type { Compare } from '../../../lib/datastore/datastore.ts';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { MemoryStore } from '../../../lib/datastore/memory/memory-store.ts';
import { EventLog } from '../../../lib/events/event-log.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { until } from '../../support/until.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function candidate(store: MemoryStore, identity: string) {
  const datastore = new MemoryDatastore({ store });
  const led: { fence: Compare; datastore: FencedDatastore; ended: boolean }[] = [];
  const election = new LeaderElection({
    datastore,
    name: 'test',
    identity,
    ttlSeconds: 3,
    lead: async (signal, fence) => {
      const entry = { fence, datastore: new FencedDatastore(datastore, fence), ended: false };
      led.push(entry);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      entry.ended = true;
    },
    events: { emit: () => {} },
    logger: silentLogger(),
  });
  election.start();
  stops.push(
    () => datastore.close(),
    () => election.stop(),
  );
  return { election, led };
}

const eventually = (isTrue: () => boolean): Promise<void> => until('what was waited for', isTrue, 20_000);

const write = (key: string) => ({ compare: [], success: [{ type: 'put', key, value: '1' } as const] });

describe('the election', () => {
  it('has one leader; the next takes over, and the writes of the old one are refused', async () => {
    const store = new MemoryStore();
    const first = candidate(store, 'first');
    await eventually(() => first.led.length === 1);
    const second = candidate(store, 'second');
    const [old] = first.led;
    expect((await old?.datastore.transact(write('/x')))?.succeeded).toBe(true);
    expect(second.led).toHaveLength(0);
    await first.election.stop();
    expect(old?.ended).toBe(true);
    await eventually(() => second.led.length === 1);
    expect((await old?.datastore.transact(write('/x')))?.succeeded).toBe(false);
    expect((await second.led[0]?.datastore.transact(write('/x')))?.succeeded).toBe(true);
    const reading = { compare: [], success: [{ type: 'get', key: '/x' } as const] };
    expect((await old?.datastore.transact(reading))?.succeeded).toBe(true);
  });
});

describe('the API', () => {
  it('refuses an etcd that holds another Kubernetes', async () => {
    const datastore = new MemoryDatastore();
    await datastore.transact(write('/registry/pods/default/theirs'));
    const nothing = Buffer.alloc(0);
    const api = new Api({
      datastore,
      events: new EventLog({ host: 'test' }),
      logger: silentLogger(),
      metrics: new ControllerMetrics(),
      address: '127.0.0.1',
      port: 0,
      tls: { ca: nothing, cert: nothing, key: nothing },
      redis: undefined,
      agentPort: 1,
    });
    await expect(api.start()).rejects.toThrow(ForeignRegistryError);
    await api.stop();
    await datastore.close();
  });
});
