// A small cluster for IPAM tests: pools, nodes and settings in the in-memory datastore, time by hand, no waiting.

import type { Datastore } from '../../lib/datastore/datastore.ts';
import { MemoryDatastore } from '../../lib/datastore/memory/memory-datastore.ts';
import { Ipam, type IpamOptions } from '../../lib/ipam/allocator.ts';
import type { IPPoolSpec } from '../../lib/model/endpoint-types.ts';
import { IPAM_CONFIG_KEY } from '../../lib/model/ipam-keys.ts';
import { keyForResource, listPrefix } from '../../lib/model/keys.ts';

export interface FixtureOptions {
  readonly pools: Readonly<Record<string, IPPoolSpec>>;
  /** Labels by name of node. */
  readonly nodes?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** As stored: `{strict_affinity: true, …}`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly reservedCidrs?: readonly string[];
}

export class IpamFixture {
  readonly datastore = new MemoryDatastore();
  nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);

  static async create(options: FixtureOptions): Promise<IpamFixture> {
    const fixture = new IpamFixture();
    await fixture.setPools(options.pools);
    for (const [name, labels] of Object.entries(options.nodes ?? { a: {}, b: {} })) {
      await fixture.put(keyForResource('Node', undefined, name), {
        kind: 'Node',
        metadata: { name, labels },
        spec: {},
      });
    }
    if (options.settings !== undefined) await fixture.put(IPAM_CONFIG_KEY, options.settings);
    if (options.reservedCidrs !== undefined) {
      const spec = { reservedCIDRs: options.reservedCidrs };
      const key = keyForResource('IPReservation', undefined, 'r');
      await fixture.put(key, { kind: 'IPReservation', metadata: { name: 'r' }, spec });
    }
    return fixture;
  }

  async setPools(pools: Readonly<Record<string, IPPoolSpec>>): Promise<void> {
    const prefix = listPrefix('IPPool');
    await this.datastore.transact({ compare: [], success: [{ type: 'deletePrefix', prefix }] });
    for (const [name, spec] of Object.entries(pools)) {
      await this.put(keyForResource('IPPool', undefined, name), { kind: 'IPPool', metadata: { name }, spec });
    }
  }

  /** Texts are stored as they are, anything else as JSON. */
  async put(key: string, value: unknown): Promise<void> {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    await this.datastore.transact({ compare: [], success: [{ type: 'put', key, value: text }] });
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.datastore.get(key)).kv?.value;
  }

  ipam(datastore: Datastore = this.datastore, options: Partial<IpamOptions> = {}): Ipam {
    return new Ipam({
      datastore,
      now: () => this.nowMs,
      random: () => 0,
      wait: () => Promise.resolve(true),
      ...options,
    });
  }
}

/** Calls of a datastore by name, and how many of them had to wait for one another. */
export function countingDatastore(store: Datastore): {
  readonly datastore: Datastore;
  readonly rounds: () => number;
} {
  let rounds = 0;
  let running = 0;
  const count = async <T>(call: () => Promise<T>): Promise<T> => {
    // Calls made while others are under way share their round trip.
    if (running === 0) rounds++;
    running++;
    try {
      return await call();
    } finally {
      running--;
    }
  };
  const datastore: Datastore = {
    get: (key, options) => count(() => store.get(key, options)),
    list: (prefix, options) => count(() => store.list(prefix, options)),
    transact: (transaction, signal) => count(() => store.transact(transaction, signal)),
    watch: (prefix, options) => store.watch(prefix, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
  };
  return { datastore, rounds: () => rounds };
}
