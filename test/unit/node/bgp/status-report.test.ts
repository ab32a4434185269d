// The status of CalicoNodeStatus objects, and when it is written.
import { afterEach, expect, it } from '@jest/globals';
import { NodeStatusWriter } from '../../../../agents/node/bgp/node-status-writer.ts';
import { type ReportedStatus, statusReport } from '../../../../agents/node/bgp/status-report.ts';
import { MemoryDatastore } from '../../../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../../../lib/datastore/resource-client.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { keyForResource } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { BgpdDestination } from '../../../../lib/protocol/bgpd-routes.ts';
import { until } from '../../../support/until.ts';

type ReportedPeer = ReportedStatus['peers'][number];
const peer = (
  name: string,
  address: string,
  description: string,
  state: ReportedPeer['state'],
): ReportedPeer => ({
  name,
  address,
  description,
  state,
  since: '2026-01-01T00:00:00.000Z',
});
const bgpd: ReportedStatus = {
  routerId: '10.0.0.1',
  configurationNumber: 3,
  startedAt: '2026-01-01T00:00:00.000Z',
  peers: [
    peer('node.b.v4', '10.0.0.2', 'Mesh_10_0_0_2', 'Established'),
    peer('peer.tor.192.0.2.1', '192.0.2.1', 'Global_192_0_2_1', 'Active'),
    peer('node.b.v6', 'fd00::2', 'Node_fd00__2', 'Established'),
  ],
};
const path = (source: string, verdict: 'best' | 'lost'): BgpdDestination['paths'][number] => ({
  source,
  verdict,
  nextHop: '10.0.0.2',
  asPath: '',
  origin: 'igp',
  communities: [],
  stale: false,
});
const destinations: BgpdDestination[] = [
  {
    prefix: '10.65.1.0/26',
    paths: [path('node.b.v4', 'best'), path('peer.tor.192.0.2.1', 'lost')],
    advertisedTo: [],
  },
  { prefix: '10.65.0.0/26', paths: [path('local', 'best')], advertisedTo: [] },
];
const now = '2026-01-02T00:00:00.000Z';

it('a report has the classes that were asked for', () => {
  const inputs = { bgpd, destinations, version: '1', now };
  expect(statusReport({ ...inputs, classes: ['BGP'] })).toEqual({
    lastUpdated: now,
    bgp: {
      numberEstablishedV4: 1,
      numberNotEstablishedV4: 1,
      numberEstablishedV6: 1,
      numberNotEstablishedV6: 0,
      peersV4: [
        { peerIP: '10.0.0.2', type: 'NodeMesh', state: 'Established', since: '2026-01-01T00:00:00.000Z' },
        { peerIP: '192.0.2.1', type: 'GlobalPeer', state: 'Active', since: '2026-01-01T00:00:00.000Z' },
      ],
      peersV6: [
        { peerIP: 'fd00::2', type: 'NodePeer', state: 'Established', since: '2026-01-01T00:00:00.000Z' },
      ],
    },
  });
  expect(statusReport({ ...inputs, classes: ['Agent'] })).toMatchObject({
    agent: { birdV4: { state: 'Ready', routerID: '10.0.0.1' } },
  });
  expect(statusReport({ ...inputs, bgpd: undefined, classes: ['Agent'] })).toMatchObject({
    agent: { birdV6: { state: 'NotReady' } },
  });
  expect(statusReport({ ...inputs, classes: ['Routes'] })).toMatchObject({
    routes: {
      routesV4: [
        {
          type: 'FIB',
          destination: '10.65.1.0/26',
          learnedFrom: { sourceType: 'NodeMesh', peerIP: '10.0.0.2' },
        },
        { type: 'RIB', destination: '10.65.1.0/26', learnedFrom: { sourceType: 'BGPPeer' } },
        { type: 'FIB', destination: '10.65.0.0/26', gateway: 'N/A', learnedFrom: { sourceType: 'Static' } },
      ],
      routesV6: [],
    },
  });
});

let writer: NodeStatusWriter | undefined;
afterEach(() => writer?.stop());

it('is written to the objects of this node that have a period, at once and again', async () => {
  const datastore = new MemoryDatastore();
  const client = new ResourceClient({ datastore });
  let seconds = 0;
  writer = new NodeStatusWriter({
    node: 'a',
    bgpd: { status: async () => bgpd, rib: async () => ({ destinations }) },
    client,
    version: '1',
    logger: silentLogger(),
    now: () => new Date(seconds++ * 1000),
  });
  const say = async (name: string): Promise<void> => {
    const key = keyForResource('CalicoNodeStatus', undefined, name);
    const { kv, revision } = await datastore.get(key);
    writer?.onResources([{ key, kv, previous: undefined, revision }]);
  };
  const create = async (name: string, node: string, updatePeriodSeconds: number): Promise<void> => {
    await client.create({
      apiVersion: 'projectcalico.org/v3',
      kind: 'CalicoNodeStatus',
      metadata: { name },
      spec: { node, classes: ['Agent', 'BGP', 'Routes'], updatePeriodSeconds },
    });
    await say(name);
  };
  const statusOf = async (name: string): Promise<{ lastUpdated?: string } | undefined> =>
    (
      (await client.get({ kind: 'CalicoNodeStatus', name })) as Resource<
        string,
        unknown,
        { lastUpdated?: string }
      >
    ).status;
  await create('ours', 'a', 1);
  await create('theirs', 'b', 1);
  await create('off', 'a', 0);
  await until(
    'the first status',
    async () => (await statusOf('ours'))?.lastUpdated === '1970-01-01T00:00:00.000Z',
  );
  // What was written comes back through the syncer.
  await say('ours');
  await until(
    'the next one',
    async () => (await statusOf('ours'))?.lastUpdated === '1970-01-01T00:00:01.000Z',
  );
  expect(await statusOf('theirs')).toBeUndefined();
  expect(await statusOf('off')).toBeUndefined();
});

it('asks once more for each object, however many periods have passed while the datastore hung', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const written: string[] = [];
  const client = new ResourceClient({ datastore: new MemoryDatastore() });
  client.updateStatus = async (object) => {
    written.push(object.metadata.name);
    await held;
    return object;
  };
  writer = new NodeStatusWriter({
    node: 'a',
    bgpd: { status: async () => bgpd, rib: async () => ({ destinations }) },
    client,
    version: '1',
    logger: silentLogger(),
    now: () => new Date(0),
  });
  const say = (name: string, updatePeriodSeconds: number): void => {
    const key = keyForResource('CalicoNodeStatus', undefined, name);
    const value = JSON.stringify({
      apiVersion: 'projectcalico.org/v3',
      kind: 'CalicoNodeStatus',
      metadata: { name },
      spec: { node: 'a', classes: ['Agent'], updatePeriodSeconds },
    });
    const kv = { key, value, createRevision: 1, modRevision: 1, lease: undefined };
    writer?.onResources([{ key, kv, previous: undefined, revision: 1 }]);
  };
  say('x', 1000);
  await until('the first is being written', () => written.length === 1);
  // Another period is written at once, as when a period is over.
  for (let period = 1001; period < 1010; period++) for (const name of ['x', 'y']) say(name, period);
  release();
  await until('all are written', () => written.length >= 3);
  await writer.stop();
  expect(written).toEqual(['x', 'x', 'y']);
});
