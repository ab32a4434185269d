// The in-memory twin: the suite that it shares with etcd, and what only it has (several clients, lost connections).
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { MemoryStore } from '../../../lib/datastore/memory/memory-store.ts';
import { run } from '../../../lib/process/run.ts';
import { codeOf, collect, describeDatastore, eventsOf, put } from '../../support/datastore-compliance.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** Time moves by itself a little at each turn of the event loop, so that progress intervals pass. */
describeDatastore('MemoryDatastore', async () => {
  const clock = new ManualClock();
  const store = new MemoryDatastore({ clock });
  const ticking = setInterval(() => clock.advance(10), 1);
  return {
    store,
    passTime: async (milliseconds) => clock.advance(milliseconds),
    stop: async () => {
      clearInterval(ticking);
      await store.close();
    },
  };
});

describe('MemoryDatastore', () => {
  it('keeps no process alive for its leases', async () => {
    const module = join(import.meta.dirname, '../../../lib/datastore/memory/memory-datastore.ts');
    const script = `import { MemoryDatastore } from '${module}';
      const lease = await new MemoryDatastore().grantLease(3600);
      process.stdout.write(lease.id);`;
    const result = await run(process.execPath, ['--input-type=module', '-e', script], { timeoutMs: 60_000 });
    expect(result).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/./) });
  }, 90_000);
});

describe('MemoryDatastore with a shared store', () => {
  it('lets one client see what another wrote', async () => {
    const store = new MemoryStore();
    const [one, two] = [new MemoryDatastore({ store }), new MemoryDatastore({ store })];
    const revision = await put(one, '/a', '1');
    const batches = await collect(
      (signal) => two.watch('/', { fromRevision: revision, signal }),
      (seen) => eventsOf(seen).length === 1,
    );
    expect(batches).toHaveLength(1);
  });

  it('fails everything of a disconnected client, ends its watches and lets its leases expire', async () => {
    const store = new MemoryStore();
    const clock = new ManualClock();
    const cut = new MemoryDatastore({ store, clock });
    const other = new MemoryDatastore({ store, clock });
    const lease = await cut.grantLease(3);
    await put(cut, '/leased', '', lease.id);
    const watching = codeOf(
      collect(
        (signal) => cut.watch('/', { fromRevision: store.revision + 1, signal }),
        () => false,
      ),
    );
    await new Promise(setImmediate);
    cut.disconnect();
    expect(await watching).toBe('unavailable');
    expect(await codeOf(cut.get('/leased'))).toBe('unavailable');
    clock.advance(2_999);
    expect((await other.get('/leased')).kv).toBeDefined();
    expect(lease.lost.aborted).toBe(false);
    clock.advance(1);
    expect((await other.get('/leased')).kv).toBeUndefined();
    expect(lease.lost.aborted).toBe(true);
    cut.reconnect();
    expect((await cut.get('/leased')).kv).toBeUndefined();
    expect(clock.pendingTimers).toBe(0);
  });

  it('serves a reader that fell behind its queue from history, with nothing lost', async () => {
    const store = new MemoryDatastore();
    const signal = AbortSignal.timeout(10_000);
    const watch = store.watch('/', { fromRevision: 2, signal })[Symbol.asyncIterator]();
    await put(store, '/0', '');
    const first = await watch.next();
    expect(first.value?.revision).toBe(2);
    for (let index = 1; index <= 2_500; index += 1) await put(store, `/${index}`, '');
    const revisions: number[] = [];
    while (revisions.length < 2_500) revisions.push((await watch.next()).value?.revision ?? -1);
    expect(revisions).toEqual(Array.from({ length: 2_500 }, (_, index) => index + 3));
    await watch.return?.();
  });
});
