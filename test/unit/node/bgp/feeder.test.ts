// From resources to what bgpd is given, over a change of passwords and while the datastore is locked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { BgpFeeder } from '../../../../agents/node/bgp/feeder.ts';
import { encodeStored } from '../../../../lib/datastore/stored-form.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { until } from '../../../support/until.ts';
import { configuration, node, peer } from './bgp-resources.ts';

const nodeMeshPassword = { secretKeyRef: { name: 's', key: 'k' } };
let feeder: BgpFeeder;
let given: BgpdConfigurationInput[];
let wanted: number;
let folder: string;
let file: string | undefined;

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
      },
      sweep: async () => undefined,
    },
    services: undefined,
    routerId: undefined,
    clusterIps: undefined,
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
  file = undefined;
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
