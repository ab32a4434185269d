// IPAM on a real etcd: the recorded histories, many allocators at once, and a sequence number above 2^53 as etcd keeps it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { auditAddresses } from '../../lib/ipam/audit.ts';
import { createDatastoreCatalog, createHeldCatalog } from '../../lib/ipam/catalog.ts';
import type { IPPool } from '../../lib/model/endpoint-types.ts';
import { blockKey } from '../../lib/model/ipam-keys.ts';
import { keyForResource } from '../../lib/model/keys.ts';
import { loadCases } from '../support/conformance-cases.ts';
import { type EtcdServer, startEtcd } from '../support/etcd.ts';
import { playScenario, type ScenarioCase } from '../support/ipam-scenario.ts';

const HOSTS = Array.from({ length: 4 }, (_, index) => `node-${index + 1}`);
/** For a machine that is busy with something else. */
const TIME_LIMIT_MS = 60_000;

let etcd: EtcdServer;
let datastore: EtcdDatastore;

beforeAll(async () => {
  etcd = await startEtcd();
  datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
}, 30_000);

afterAll(async () => {
  await datastore.close();
  await etcd.stop();
});

beforeEach(async () => {
  await datastore.transact({ compare: [], success: [{ type: 'deletePrefix', prefix: '/calico/' }] });
});

async function put(key: string, value: unknown): Promise<void> {
  await datastore.transact({ compare: [], success: [{ type: 'put', key, value: JSON.stringify(value) }] });
}

const NODE_RESOURCES = HOSTS.map((name) => ({ kind: 'Node', metadata: { name }, spec: {} }));

function poolResource(cidr: string, blockSize: number): IPPool {
  const metadata = { name: 'pool' };
  return { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata, spec: { cidr, blockSize } };
}

async function addPool(cidr: string, blockSize: number): Promise<void> {
  await put(keyForResource('IPPool', undefined, 'pool'), poolResource(cidr, blockSize));
  for (const node of NODE_RESOURCES) await put(keyForResource('Node', undefined, node.metadata.name), node);
}

describe('recorded histories of allocation on etcd', () => {
  const cases = loadCases<ScenarioCase>('model/ipam-scenarios.json');
  it.each(cases.map((scenario) => [scenario.id, scenario.name, scenario] as const))(
    '%s: %s',
    async (_id, _name, scenario) => {
      await playScenario(datastore, scenario);
    },
  );
});

describe('many allocators on one etcd', () => {
  it(
    'eight, two on each of four hosts, assign 500 addresses with none doubled',
    async () => {
      await addPool('10.70.0.0/22', 26);
      const clients = HOSTS.flatMap((host) => [0, 1].map((index) => ({ host, name: `${host}-${index}` })));
      const stores = clients.map(() => new EtcdDatastore({ endpoints: [etcd.endpoint] }));
      // As in the agent, which follows pools and nodes anyway.
      const catalog = createHeldCatalog({
        pools: () => [poolResource('10.70.0.0/22', 26)],
        reservations: () => [],
        nodeLabels: () => ({}),
      });
      const started = performance.now();
      const perClient = await Promise.all(
        clients.map(async ({ host, name }, index) => {
          const store = stores[index];
          if (store === undefined) throw new Error('no client');
          const ipam = new Ipam({ datastore: store, catalog });
          const ips: string[] = [];
          const count = index < 4 ? 63 : 62;
          for (let pod = 0; pod < count; pod++) {
            const handle = `k8s-pod-network.${name}-${pod}`;
            const attributes = { node: host, pod: `pod-${name}-${pod}`, namespace: 'default' };
            const { v4 } = await ipam.autoAssign({ host, use: 'Workload', v4: 1, handle, attributes });
            ips.push(...v4.addresses.map(({ ip }) => ip));
          }
          return ips;
        }),
      );
      const elapsedMs = performance.now() - started;
      await Promise.all(stores.map((store) => store.close()));
      const all = perClient.flat();
      expect(all).toHaveLength(500);
      expect(new Set(all).size).toBe(500);
      process.stdout.write(`500 addresses by 8 allocators: ${Math.round(elapsedMs)} ms\n`);
      await expectSound(500);
    },
    TIME_LIMIT_MS,
  );

  it(
    'twelve on one host share its blocks, and what they release is free again',
    async () => {
      await addPool('10.71.0.0/24', 26);
      const host = HOSTS[0] ?? '';
      const allocators = Array.from({ length: 12 }, () => new Ipam({ datastore }));
      const assigned = await Promise.all(
        allocators.map((ipam, index) =>
          ipam.autoAssign({
            host,
            use: 'Workload',
            v4: 3,
            handle: `h-${index}`,
            attributes: { node: host, pod: `p-${index}` },
          }),
        ),
      );
      const ips = assigned.flatMap(({ v4 }) => v4.addresses.map(({ ip }) => ip));
      expect(new Set(ips).size).toBe(36);
      await expectSound(36);
      const released = await Promise.all(allocators.map((ipam, index) => ipam.releaseByHandle(`h-${index}`)));
      expect(released.flat().sort()).toEqual(ips.sort());
      await expectSound(0);
    },
    TIME_LIMIT_MS,
  );
});

async function expectSound(inUse: number): Promise<void> {
  const ipam = new Ipam({ datastore });
  const [blocks, affinities, handles, pools] = await Promise.all([
    ipam.store.listBlocks(undefined),
    ipam.store.listAllAffinities(),
    ipam.store.listHandles(),
    createDatastoreCatalog(datastore).pools(),
  ]);
  const report = auditAddresses({
    blocks: blocks.flatMap(({ value }) => value ?? []),
    unreadableBlocks: [],
    affinities,
    handles,
    pools,
    nodes: new Set(HOSTS),
    users: [],
    nowMs: Date.now(),
    cooldownSeconds: 0,
  });
  expect(report.allocations).toHaveLength(inUse);
  expect(report.brokenBlocks).toEqual([]);
  expect(report.withoutHandle).toEqual([]);
  expect(report.emptyHandles).toEqual([]);
  expect(report.affinityProblems).toEqual([]);
}

describe('what etcd keeps', () => {
  it('has sequence numbers above 2^53 as exact JSON numbers', async () => {
    await addPool('10.72.0.0/24', 26);
    const ipam = new Ipam({ datastore, now: () => 1_767_323_045_123 });
    const host = HOSTS[0] ?? '';
    const { v4 } = await ipam.autoAssign({ host, use: 'Workload', v4: 1, handle: 'h' });
    const { kv } = await datastore.get(blockKey(v4.addresses[0]?.block ?? ''));
    expect(kv?.value).toContain('"sequenceNumber":1767323045123000001');
    expect(kv?.value).toMatch(/"sequenceNumberForAllocation":\{"\d+":1767323045123000000\}/);
    const { sequenceNumber } = await ipam.ownerOfAddress(v4.addresses[0]?.ip ?? '');
    expect(sequenceNumber).toBe(1_767_323_045_123_000_000n);
  });
});
