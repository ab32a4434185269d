// From the mesh to a route reflector and back, as an operator does it with Calico's resources: four hosts, each with bgpd
// and the agent's BGP feeder. Old sessions go when what takes their place carries everything, so packets between the
// hosts' blocks, 1,000 a second each way, never miss their way.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpFeeder } from '../../agents/node/bgp/feeder.ts';
import { Passwords } from '../../agents/node/bgp/secrets.ts';
import { BgpdLink } from '../../agents/node/bgpd-link.ts';
import { encodeStored } from '../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { blockAffinityPrefix } from '../../lib/model/ipam-keys.ts';
import { keyForResource } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import type { BgpdPeerStatus } from '../../lib/protocol/bgpd-status.ts';
import { BgpdProcess } from './support/bgpd-process.ts';
import { bgpRoutes, execIn, ipIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(120_000);

const HOSTS = [1, 2, 3, 4] as const;
/** The one that becomes the reflector. */
const REFLECTOR = 4;
const CLUSTER_ID = '244.0.0.1';

interface Agent {
  readonly feeder: BgpFeeder;
  readonly link: BgpdLink;
  readonly events: EventLog;
}

const resource = (
  kind: string,
  name: string,
  spec: object,
  labels: Record<string, string> = {},
): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind,
  metadata: { name, labels },
  spec,
});
const nodeOf = (index: number, isReflector: boolean): Resource =>
  resource(
    'Node',
    `h${index}`,
    {
      bgp: {
        ipv4Address: `10.9.0.${index}/24`,
        ...(isReflector ? { routeReflectorClusterID: CLUSTER_ID } : {}),
      },
    },
    isReflector ? { reflector: 'true' } : {},
  );
const toReflector = resource('BGPPeer', 'reflectors', {
  nodeSelector: '!has(reflector)',
  peerSelector: 'has(reflector)',
});
const mesh = (isEnabled: boolean): Resource =>
  resource('BGPConfiguration', 'default', { nodeToNodeMeshEnabled: isEnabled });

describe('from the mesh to a reflector and back', () => {
  let network: TestNetwork;
  let revision = 1;
  const hosts: TestHost[] = [];
  const agents: Agent[] = [];

  /** What every agent's syncer would say. */
  function update(change: Resource, isThere = true): void {
    revision += 1;
    const key = keyForResource(change.kind, undefined, change.metadata.name);
    const kv = {
      key,
      value: encodeStored(change),
      createRevision: revision,
      modRevision: revision,
      version: 1,
      lease: undefined,
    };
    const said: SyncerUpdate = { key, kv: isThere ? kv : undefined, previous: undefined, revision };
    for (const { feeder } of agents) feeder.onResources([said]);
  }

  async function startAgent(host: TestHost, index: number): Promise<Agent> {
    await BgpdProcess.start(network, host);
    const events = new EventLog({ host: host.name });
    const logger = silentLogger();
    const link = new BgpdLink(join(host.dir, 'bgpd.sock'), events, logger);
    const folder = join(host.dir, 'passwords');
    const passwords = new Passwords({ folder, api: undefined, logger, onChange: () => undefined });
    await passwords.start();
    const feeder = new BgpFeeder({
      node: host.name,
      bgpd: link,
      passwords,
      services: undefined,
      routerId: undefined,
      clusterIps: undefined,
      interfaces: () => ({}),
      peersFile: join(host.dir, 'bgp-peers.json'),
      handoverMs: 60_000,
      events,
      logger,
    });
    await link.start();
    network.onClose(async () => {
      await feeder.stop();
      await link.stop();
      await passwords.stop();
    });
    const key = `${blockAffinityPrefix(host.name)}ipv4/block/10.65.${index}.0-26`;
    const value = '{"state":"confirmed"}';
    const kv = { key, value, createRevision: 1, modRevision: 1, version: 1, lease: undefined };
    feeder.onAffinities([{ key, kv, previous: undefined, revision: 1 }]);
    return { feeder, link, events };
  }

  beforeAll(async () => {
    network = await TestNetwork.create();
    for (const index of HOSTS) {
      const host = await network.addHost(index);
      // An address of the block stands for a workload.
      await ipIn(host.netns, [`addr add 10.65.${index}.1/32 dev lo`]);
      hosts.push(host);
    }
    agents.push(...(await Promise.all(hosts.map((host, index) => startAgent(host, index + 1)))));
    update(resource('IPPool', 'pool', { cidr: '10.65.0.0/16' }));
    for (const index of HOSTS) update(nodeOf(index, false));
    for (const { feeder } of agents) feeder.onInSync();
    await everywhere('the mesh', (peers) => peers.length === 3 && peers.every(isUp));
    await routesEverywhere();
  });
  afterAll(() => network.close());

  const isUp = ({ state }: BgpdPeerStatus): boolean => state === 'Established';

  async function everywhere(
    what: string,
    holds: (peers: readonly BgpdPeerStatus[], index: number) => boolean,
  ): Promise<void> {
    await waitFor(
      what,
      async () => {
        const all = await Promise.all(agents.map(({ link }) => link.status()));
        return all.every(({ peers }, index) => holds(peers, index + 1));
      },
      40_000,
    );
  }

  async function routesEverywhere(): Promise<void> {
    await waitFor('routes of all blocks', async () => {
      const all = await Promise.all(hosts.map(bgpRoutes));
      return all.every((routes) => routes.filter((route) => route.includes(' via ')).length === 3);
    });
  }

  interface Probe {
    readonly service: Service;
    readonly name: string;
  }

  async function probe(from: number, to: number): Promise<Probe> {
    const host = hosts[from - 1];
    if (host === undefined) throw new Error(`no host ${from}`);
    const ping = ['ping', '-q', '-i', '0.001', '-I', `10.65.${from}.1`, `10.65.${to}.1`];
    const service = await spawnService({
      argv: ['ip', 'netns', 'exec', host.netns, ...ping],
      readyWhen: { kind: 'started' },
    });
    return { service, name: `h${from} to h${to}` };
  }

  /** Packets that h1 has sent: its probes are nearly all of them. */
  async function sentByFirst(): Promise<number> {
    const [first] = hosts;
    if (first === undefined) throw new Error('no host 1');
    const text = await execIn(first, ['cat', '/sys/class/net/eth0/statistics/tx_packets']);
    return Number(text);
  }

  /** Lost probes by flow; the last one may still be on its way. */
  async function lost(probes: readonly Probe[]): Promise<string[]> {
    const results = await Promise.all(
      probes.map(async ({ service, name }) => {
        service.kill('SIGINT');
        await service.exited;
        const numbers = /(\d+) packets transmitted, (\d+) received/.exec(service.output());
        const [sent, received] = [Number(numbers?.[1] ?? 0), Number(numbers?.[2] ?? 0)];
        expect(sent).toBeGreaterThan(500);
        return sent - received > 1 ? [`${name}: ${sent - received} of ${sent}`] : [];
      }),
    );
    return results.flat();
  }

  /** Until as many packets again have gone out as a second of all flows makes. */
  async function probesAfterwards(): Promise<void> {
    const before = await sentByFirst();
    await waitFor('more probes', async () => (await sentByFirst()) > before + 2000);
  }

  const flows = (): Promise<Probe[]> =>
    Promise.all([probe(1, 2), probe(2, 3), probe(3, 1), probe(1, REFLECTOR)]);
  const endsOf = ({ events }: Agent): string[] =>
    events
      .read(0)
      .events.filter(({ kind }) => kind === 'bgpHandover')
      .map(({ cause }) => cause ?? '');

  it('loses nothing on the way to the reflector', async () => {
    const probes = await flows();
    update(toReflector);
    update(nodeOf(REFLECTOR, true));
    update(mesh(false));
    await everywhere(
      'the star',
      (peers, index) => peers.length === (index === REFLECTOR ? 3 : 1) && peers.every(isUp),
    );
    await routesEverywhere();
    await probesAfterwards();
    expect(await lost(probes)).toEqual([]);
    expect(agents.slice(0, 3).map((agent) => endsOf(agent).at(-1))).toEqual(
      Array.from({ length: 3 }, () => 'others have taken over'),
    );
  });

  it('loses nothing on the way back', async () => {
    const probes = await flows();
    update(mesh(true));
    update(nodeOf(REFLECTOR, false));
    update(toReflector, false);
    await everywhere('the mesh', (peers) => peers.length === 3 && peers.every(isUp));
    await routesEverywhere();
    await probesAfterwards();
    expect(await lost(probes)).toEqual([]);
  });
});
