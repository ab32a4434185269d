// From resources to what bgpd is given, over a change of passwords and while the datastore is locked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { parseConfiguration } from '../../../../agents/bgp/config.ts';
import type { HostInterfaces } from '../../../../agents/node/address-detection.ts';
import { BgpFeeder } from '../../../../agents/node/bgp/feeder.ts';
import { encodeStored } from '../../../../lib/datastore/stored-form.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { until } from '../../../support/until.ts';
import { configuration, filter, node, peer, pool } from './bgp-resources.ts';

const nodeMeshPassword = { secretKeyRef: { name: 's', key: 'k' } };
let feeder: BgpFeeder;
let given: BgpdConfigurationInput[];
let wanted: number;
/** How often it has been worked out. */
let feeds: number;
let folder: string;
let file: string | undefined;
let interfaces: HostInterfaces;

function say(...resources: Resource[]): void {
  feeder.onResources(
    resources.map((resource) => {
      const key = keyOf(resource);
      const revisions = { createRevision: 1, modRevision: 1, version: 1, lease: undefined };
      return {
        key,
        kv: { key, value: encodeStored(resource), ...revisions },
        previous: undefined,
        revision: 1,
      };
    }),
  );
}

const workload = (pod: string, node: string, address: string): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'WorkloadEndpoint',
  metadata: { name: `${node.replaceAll('-', '--')}-k8s-${pod}-eth0`, namespace: 'default' },
  spec: { node, interfaceName: `cali-${pod}`, ipNetworks: [address] },
});

const peersOf = (output: BgpdConfigurationInput | undefined): unknown[] =>
  (output?.peers ?? []).map(({ name, passwordFile }) => [name, passwordFile]);

function newFeeder(): BgpFeeder {
  return new BgpFeeder({
    node: 'node-1',
    bgpd: {
      configure: (output) => void given.push(output),
      status: async () => ({ peers: [] }),
      wholeRib: async () => ({ destinations: [], total: 0 }),
    },
    passwords: {
      fileOf: () => file,
      want: (secrets) => {
        wanted = secrets.length;
        feeds++;
      },
      sweep: async () => undefined,
    },
    services: undefined,
    routerId: undefined,
    clusterIps: undefined,
    interfaces: () => interfaces,
    peersFile: join(folder, 'bgp-peers.json'),
    handoverMs: 60_000,
    events: { emit: () => undefined },
    logger: silentLogger(),
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bgp-feeder-'));
  given = [];
  wanted = 0;
  feeds = 0;
  file = undefined;
  interfaces = {};
  feeder = newFeeder();
  say(node('node-1', '172.30.0.11/24'), node('node-2', '172.30.0.12/24'));
  feeder.onInSync();
  await until('the mesh', () => given.length === 1);
});
afterEach(async () => {
  await feeder.stop();
  rmSync(folder, { recursive: true });
});

it('keeps the mesh while its new password is read', async () => {
  say(configuration({ nodeMeshPassword }));
  await until('the wish for the password', () => wanted === 1);
  expect(given.map(peersOf)).toEqual([[['node.node-2.v4', undefined]]]);
  file = '/run/s';
  feeder.onChange();
  await until('the new password', () => given.length === 2);
  expect(peersOf(given[1])).toEqual([['node.node-2.v4', '/run/s']]);
});

it("goes by the host's interfaces as they are, while a filter asks for one", async () => {
  const filters = ['f'];
  say(
    peer('tor', { peerIP: '192.0.2.1', asNumber: 65001, filters }),
    filter('f', { importV4: [{ action: 'Reject', interface: 'eth*' }] }),
  );
  const networks = (): unknown[] =>
    (given.at(-1)?.peers?.find(({ asn }) => asn === 65001)?.importPolicy?.rules ?? []).map(
      ({ nextHop }) => nextHop,
    );
  await until('the peer', () => given.at(-1)?.peers?.length === 2);
  expect(networks()).toEqual([]);
  const address = { address: '192.0.2.7', family: 'IPv4', cidr: '192.0.2.7/24', internal: false };
  const linkLocal = { address: 'fe80::7', family: 'IPv6', cidr: 'fe80::7/64', internal: false };
  interfaces = { eth1: [address, linkLocal], other0: [{ ...address, cidr: '198.51.100.7/24' }] };
  await until('the interface', () => networks().length > 0);
  expect(networks()).toEqual(['192.0.2.0/24']);
});

it('leaves things as they are until the workloads that a BGPPeer chooses are known', async () => {
  say(
    peer('routers', { localWorkloadSelector: 'app == "router"', asNumber: 65001 }),
    node('node-3', '172.30.0.13/24'),
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(given).toHaveLength(1);
  feeder.setLocalPeers([{ peer: 'routers', ipv4: '10.65.0.1', ipv6: undefined }]);
  await until('the workload', () => given.at(-1)?.peers?.length === 3);
  expect(given.at(-1)?.peers?.find(({ asn }) => asn === 65001)).toMatchObject({
    name: 'workload.routers.10.65.0.1',
    passive: true,
  });
  feeder.setLocalPeers([]);
  await until('its end', () => given.at(-1)?.peers?.length === 2);
});

it('announces workloads by themselves while no block of this node has them, and works nothing out for others', async () => {
  const announced = (): unknown[] =>
    (given.at(-1)?.originate ?? []).map((route) => (typeof route === 'string' ? route : route.prefix));
  const affinity = (value: string | undefined): void => {
    const key = '/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26';
    const revisions = { createRevision: 1, modRevision: 1, version: 1, lease: undefined };
    const kv = value === undefined ? undefined : { key, value, ...revisions };
    feeder.onAffinities([{ key, kv, previous: undefined, revision: 1 }]);
  };
  say({ ...pool('10.65.0.0/16'), metadata: { name: 'default' } });
  affinity('{"state":"confirmed"}');
  await until('the block', () => announced().length === 1);
  const before = feeds;
  say(workload('own', 'node-1', '10.65.0.1/32'), workload('far', 'node-2', '10.65.7.1/32'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(feeds).toBe(before);
  say(workload('borrower', 'node-1', '10.65.7.2/32'));
  await until('the borrowed address', () => announced().length === 2);
  expect(announced()).toEqual(['10.65.0.0/26', '10.65.7.2/32']);
  affinity(undefined);
  await until('the end of the block', () => !announced().includes('10.65.0.0/26'));
  expect(announced()).toEqual(['10.65.0.1/32', '10.65.7.2/32']);
  say(workload('borrower', 'node-1', '10.65.7.3/32'));
  await until('the other address', () => announced().includes('10.65.7.3/32'));
  expect(announced()).toEqual(['10.65.0.1/32', '10.65.7.3/32']);
});

it('takes all peers away when this node has no address any more, and gives them back with one', async () => {
  expect(given.at(-1)?.peers).toHaveLength(1);
  say(node('node-1', undefined));
  await until('the end of the mesh', () => given.length === 2);
  expect(given[1]).toMatchObject({ asn: 64512, listen: [], peers: [] });
  expect(parseConfiguration(given[1])).toMatchObject({ ok: true });
  say(node('node-1', '172.30.0.11/24'));
  await until('the mesh', () => given.at(-1)?.peers?.length === 1);
});

it('takes away what an earlier agent has given when this node has no address', async () => {
  await feeder.stop();
  feeder = newFeeder();
  await feeder.start();
  say(node('node-1', undefined), node('node-2', '172.30.0.12/24'));
  feeder.onInSync();
  await until('the end of the mesh', () => given.length === 2);
  expect(given[1]).toMatchObject({ peers: [] });
  expect(parseConfiguration(given[1])).toMatchObject({ ok: true });
});

it('waits with new peers until their password is known', async () => {
  say(configuration({ nodeMeshPassword }), node('node-3', '172.30.0.13/24'));
  await until('the wish for the passwords', () => wanted === 2);
  expect(peersOf(given.at(-1))).toEqual([['node.node-2.v4', undefined]]);
  file = '/run/s';
  feeder.onChange();
  await until('both peers', () => given.at(-1)?.peers?.length === 2);
  expect(peersOf(given.at(-1))).toEqual([
    ['node.node-2.v4', '/run/s'],
    ['node.node-3.v4', '/run/s'],
  ]);
});

it('goes on after a restart of the agent with peers that leave, and with their passwords', async () => {
  const known = join(folder, 'password');
  writeFileSync(known, 'hunter2');
  file = known;
  say(configuration({ nodeMeshPassword }), node('node-3', '172.30.0.13/24'));
  await until('the mesh of three', () => peersOf(given.at(-1)).length === 2);
  await feeder.stop();
  file = undefined;
  feeder = newFeeder();
  await feeder.start();
  say(
    node('node-1', '172.30.0.11/24'),
    node('node-2', '172.30.0.12/24', { labels: { rr: 'a' } }),
    node('node-3', '172.30.0.13/24'),
    configuration({ nodeToNodeMeshEnabled: false }),
    peer('p', {
      nodeSelector: '!has(rr)',
      peerSelector: 'has(rr)',
      password: { secretKeyRef: { name: 'other', key: 'k' } },
    }),
  );
  const before = given.length;
  feeder.onInSync();
  await until('the configuration', () => given.length > before);
  expect(
    given.at(-1)?.peers?.map(({ name, passwordFile, removal }) => [name, passwordFile, removal]),
  ).toEqual([
    ['node.node-2.v4', known, undefined],
    ['node.node-3.v4', known, 'graceful'],
  ]);
  expect(feeder.handover).toMatch(/^1 peers stay/);
});

it.each([
  ['their file is not whole', '[{"name":'],
  [
    'their passwords are gone',
    JSON.stringify([{ name: 'node.node-2.v4', address: '172.30.0.12', asn: 64512, passwordFile: '/none' }]),
  ],
])('begins without an earlier agent’s peers where %s', async (_why, text) => {
  await feeder.stop();
  writeFileSync(join(folder, 'bgp-peers.json'), text);
  feeder = newFeeder();
  await feeder.start();
  say(
    configuration({ nodeMeshPassword }),
    node('node-1', '172.30.0.11/24'),
    node('node-2', '172.30.0.12/24'),
  );
  const before = given.length;
  feeder.onInSync();
  await until('the configuration', () => given.length > before);
  expect(peersOf(given.at(-1))).toEqual([]);
});
