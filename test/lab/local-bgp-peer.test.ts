// A workload that peers with its own host: a BGPPeer chooses it, port 179 of the host is open to it and to no other, and what it
// announces becomes a route of the host.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { LabHost } from '../../lab/host.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { BgpdClient } from '../../lib/protocol/bgpd-client.ts';
import {
  bgpdAndAgent,
  CniContainers,
  type Container,
  etcdctl,
  untilReady,
} from './support/cni-containers.ts';
import { program } from './support/programs.ts';
import { startTestLab, type TestLab, waitUntil } from './support/test-lab.ts';

const START_MS = 180_000;
const RESOURCES = '/calico/resources/v3/projectcalico.org';
/** What hosts are to such workloads. */
const HOST_ADDRESS = '169.254.0.179';
const ANNOUNCED = '192.0.2.0/24';

let test: TestLab;
let folder: string;
let router: Service | undefined;
let speaker: BgpdClient | undefined;
let inside: Container;
let elsewhere: Container;
const containers = new CniContainers();

async function put(kind: string, plural: string, name: string, spec: object): Promise<void> {
  const value = { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec };
  await etcdctl(test.lab, 'put', `${RESOURCES}/${plural}/${name}`, JSON.stringify(value));
}

async function peerStates(host: LabHost): Promise<readonly string[]> {
  const client = await BgpdClient.connect(join(host.stateDir, 'bgpd.sock'));
  try {
    const { peers } = await client.status();
    return peers.map(({ name, state }) => `${name} ${state}`);
  } finally {
    client.close();
  }
}

/** Whether a connection to the address's BGP port is made. */
async function connects({ id, host }: Container, address: string): Promise<boolean> {
  const argv = ['ip', 'netns', 'exec', id, 'timeout', '2', 'bash', '-c', `</dev/tcp/${address}/179`] as const;
  return (await host.exec(argv)).code === 0;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'local-bgp-peer-'));
  test = await startTestLab({ hosts: 2, nodeProcesses: bgpdAndAgent() });
  for (const host of test.lab.hosts()) await untilReady(host);
  inside = await containers.add(test.lab.host('node-1'));
  elsewhere = await containers.add(test.lab.host('node-2'));
}, START_MS);
afterAll(async () => {
  speaker?.close();
  await router?.stop();
  await containers.removeAll();
  await test?.stop();
  rmSync(folder, { recursive: true, force: true });
}, START_MS);

it(
  'has a session with its host, and its routes are there; another workload reaches no BGP port',
  async () => {
    const { host } = inside;
    expect(await connects(inside, host.address)).toBe(false);
    await put('BGPConfiguration', 'bgpconfigurations', 'default', { localWorkloadPeeringIPV4: HOST_ADDRESS });
    await put('BGPPeer', 'bgppeers', 'routers', {
      node: host.name,
      localWorkloadSelector: 'all()',
      asNumber: 65100,
    });
    router = await spawnService({
      argv: [
        'ip',
        ...['netns', 'exec', inside.id],
        ...program('agents/bgp/main'),
        ...['--state-dir', folder, '--host', 'router'],
      ],
      readyWhen: { kind: 'line', matches: (line) => line.includes('"message":"ready"') },
      readyTimeoutMs: 60_000,
    });
    speaker = await BgpdClient.connect(join(folder, 'bgpd.sock'));
    const all = { rules: [], otherwise: 'accept' as const };
    const configured = await speaker.configure(1, {
      routerId: inside.address,
      asn: 65100,
      peers: [
        {
          ...{ name: 'host', address: HOST_ADDRESS, asn: 64512, connectRetrySeconds: 1 },
          ...{ families: ['ipv4Unicast'], importPolicy: all, exportPolicy: all },
        },
      ],
      originate: [ANNOUNCED],
      kernel: { enabled: false },
    });
    expect(configured).toEqual({ ok: true });
    await waitUntil(
      'the session',
      async () => (await peerStates(host)).includes(`workload.routers.${inside.address} Established`),
      60_000,
    );
    await waitUntil(
      'the route',
      async () => {
        const routes = await host.execOk(['ip', 'route', 'show', ANNOUNCED]);
        return routes.startsWith(`${ANNOUNCED} via ${inside.address} dev cali`);
      },
      30_000,
    );
    const far = elsewhere.host;
    expect(await connects(elsewhere, far.address)).toBe(false);
    expect(await connects(elsewhere, host.address)).toBe(false);
  },
  START_MS,
);

it(
  "gets the host's address back when somebody deletes it",
  async () => {
    const { host } = inside;
    const shown = async (): Promise<string> => await host.execOk(['ip', '-4', '-o', 'addr', 'show']);
    const [, device = ''] = /^\d+: (cali\S+) +inet 169\.254\.0\.179\/32 /m.exec(await shown()) ?? [];
    await host.execOk(['ip', 'addr', 'del', `${HOST_ADDRESS}/32`, 'dev', device]);
    await waitUntil('the address', async () => (await shown()).includes(`${HOST_ADDRESS}/32`), 30_000);
  },
  START_MS,
);

it(
  'loses both with the BGPPeer',
  async () => {
    const { host } = inside;
    await etcdctl(test.lab, 'del', `${RESOURCES}/bgppeers/routers`);
    await waitUntil(
      'the end of the session',
      async () => !(await peerStates(host)).some((state) => state.startsWith('workload.routers.')),
      30_000,
    );
    await waitUntil(
      'the end of the route',
      async () => (await host.execOk(['ip', 'route', 'show', ANNOUNCED])) === '',
      30_000,
    );
    await waitUntil('the closed port', async () => !(await connects(inside, host.address)), 30_000);
    const addresses = await host.execOk(['ip', '-4', 'addr', 'show']);
    expect(addresses).not.toContain(HOST_ADDRESS);
  },
  START_MS,
);
