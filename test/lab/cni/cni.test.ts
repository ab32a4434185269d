// The CNI plugin as runtimes call it, against whole hosts: etcd, bgpd and agent are real (CNI 1.1.0; docs/interfaces.md).
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LabHost } from '../../../lab/host.ts';
import type { RunResult } from '../../../lib/process/run.ts';
import { bgpdAndAgent, etcdctl, untilReady } from '../support/cni-containers.ts';
import { program } from '../support/programs.ts';
import { startTestLab, type TestLab, waitUntil } from '../support/test-lab.ts';

interface Container {
  readonly id: string;
  readonly netns: string;
  readonly host: LabHost;
}
interface Result {
  readonly cniVersion: string;
  readonly interfaces: readonly { name: string; mac: string; mtu?: number; sandbox: string }[];
  readonly ips: readonly { address: string; interface: number; version?: string }[];
}
interface Failure {
  readonly code: number;
  readonly msg: string;
}

const NETWORK = 'lab-net';
let test: TestLab;
let host: LabHost;
const containers: Container[] = [];

const configuration = (changes: object = {}): object => ({
  cniVersion: '1.0.0',
  name: NETWORK,
  type: 'calico',
  ...changes,
});

async function newContainer(on = host): Promise<Container> {
  const id = randomBytes(8).toString('hex');
  await on.execOk(['ip', 'netns', 'add', id]);
  const container = { id, netns: `/run/netns/${id}`, host: on };
  containers.push(container);
  return container;
}

function cni(
  command: string,
  container: Container,
  config: object = configuration(),
  env: Record<string, string> = {},
): Promise<RunResult> {
  return container.host.exec(program('agents/cni/main'), {
    input: JSON.stringify(config),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: container.id,
      CNI_NETNS: container.netns,
      CNI_IFNAME: 'eth0',
      CALICO_CNI_SOCKET: join(container.host.stateDir, 'cni.sock'),
      ...env,
    },
    timeoutMs: 60_000,
  });
}

async function add(container: Container, config: object = configuration()): Promise<Result> {
  const { code, stdout, stderr } = await cni('ADD', container, config);
  if (code !== 0) throw new Error(`ADD failed: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Result;
}

async function failureOf(result: Promise<RunResult>): Promise<Failure> {
  const { code, stdout } = await result;
  expect(code).not.toBe(0);
  return JSON.parse(stdout) as Failure;
}

const inContainer = (container: Container, ...argv: [string, ...string[]]): Promise<string> =>
  container.host.execOk(['ip', 'netns', 'exec', container.id, ...argv]);

const keysUnder = async (prefix: string): Promise<readonly string[]> =>
  (await etcdctl(test.lab, 'get', '--prefix', prefix, '--keys-only'))
    .split('\n')
    .filter((line) => line !== '');

async function addressOf(result: Result): Promise<string> {
  return result.ips[0]?.address.split('/')[0] ?? '';
}

/** Addresses that IPAM holds for this network, by handle. */
const handles = (): Promise<readonly string[]> => keysUnder('/calico/ipam/v2/handle/');

beforeAll(async () => {
  test = await startTestLab({ hosts: 2, nodeProcesses: bgpdAndAgent() });
  host = test.lab.host('node-1');
  for (const each of test.lab.hosts()) await untilReady(each);
}, 180_000);

afterAll(async () => {
  for (const each of containers) await each.host.exec(['ip', 'netns', 'del', each.id]);
  await test?.stop();
});

describe('ADD', () => {
  let container: Container;
  let result: Result;
  beforeAll(async () => {
    container = await newContainer();
    result = await add(container);
  });

  it('answers address and interfaces in the form of 1.0.0', () => {
    const hostInterface = `cali${container.id.slice(0, 11)}`;
    expect(result).toEqual({
      cniVersion: '1.0.0',
      interfaces: [
        { name: hostInterface, mac: 'ee:ee:ee:ee:ee:ee', sandbox: '' },
        {
          name: 'eth0',
          mac: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
          sandbox: container.netns,
        },
      ],
      ips: [{ address: expect.stringMatching(/^10\.65\.\d+\.\d+\/32$/), interface: 1 }],
      dns: {},
    });
  });

  it('gives the container its /32, the 169.254.1.1 gateway and a permanent neighbour', async () => {
    const address = await addressOf(result);
    expect(await inContainer(container, 'ip', '-o', '-4', 'addr', 'show', 'dev', 'eth0')).toContain(
      `${address}/32`,
    );
    const routes = await inContainer(container, 'ip', 'route');
    expect(routes).toContain('default via 169.254.1.1 dev eth0');
    expect(routes).toContain('169.254.1.1 dev eth0 scope link');
    const neighbours = await inContainer(container, 'ip', 'neigh', 'show', 'dev', 'eth0');
    expect(neighbours).toMatch(/169\.254\.1\.1 lladdr ee:ee:ee:ee:ee:ee PERMANENT/);
  });

  it('has link, route and neighbour on the host, and no bridge', async () => {
    const address = await addressOf(result);
    const name = result.interfaces[0]?.name ?? '';
    const link = await host.execOk(['ip', '-o', 'link', 'show', 'dev', name]);
    expect(link).toContain('state UP');
    expect(link).toContain('ee:ee:ee:ee:ee:ee');
    const route = await host.execOk(['ip', 'route', 'show', `${address}/32`]);
    expect(route).toContain(`dev ${name} proto 80 scope link`);
    expect(await host.execOk(['ip', 'neigh', 'show', 'dev', name])).toContain('PERMANENT');
    expect(await host.execOk(['ip', '-d', 'link', 'show', 'type', 'bridge'])).toBe('');
  });

  it('writes the WorkloadEndpoint and the profile of the network', async () => {
    const key = `/calico/resources/v3/projectcalico.org/workloadendpoints/default/node--1-cni-${container.id}-eth0`;
    const stored = JSON.parse(await etcdctl(test.lab, 'get', '--print-value-only', key)) as { spec: object };
    expect(stored.spec).toMatchObject({
      node: 'node-1',
      orchestrator: 'cni',
      workload: container.id,
      containerID: container.id,
      endpoint: 'eth0',
      interfaceName: result.interfaces[0]?.name,
      ipNetworks: [result.ips[0]?.address],
      profiles: [NETWORK],
    });
    expect(await keysUnder(`/calico/resources/v3/projectcalico.org/profiles/${NETWORK}`)).toHaveLength(1);
  });

  it('lets containers of one network reach each other, on one host and over two', async () => {
    const near = await newContainer();
    const far = await newContainer(test.lab.host('node-2'));
    const targets = [await addressOf(await add(near)), await addressOf(await add(far))];
    for (const target of targets)
      await waitUntil(`${target} answers`, async () => {
        const ping = ['ip', 'netns', 'exec', container.id, 'ping', '-c', '1', '-W', '1', target] as const;
        return (await host.exec(ping)).code === 0;
      });
    for (const each of [near, far]) expect((await cni('DEL', each)).code).toBe(0);
  });

  it('gives the same container one address when it is added twice', async () => {
    const before = (await handles()).length;
    const again = await add(container);
    expect(again.interfaces[0]?.name).toBe(result.interfaces[0]?.name);
    expect((await handles()).length).toBe(before);
    result = again;
  });

  it('is affirmed by CHECK, until the link is gone', async () => {
    expect((await cni('CHECK', container)).code).toBe(0);
    const name = result.interfaces[0]?.name ?? '';
    await host.execOk(['ip', 'link', 'del', 'dev', name]);
    const failure = await failureOf(cni('CHECK', container));
    expect(failure.code).toBe(100);
    expect(failure.msg).toContain(`interface ${name} is missing on the host`);
  });

  it('is undone by DEL: endpoint, interface, address, element; a second DEL is fine', async () => {
    const name = result.interfaces[0]?.name ?? '';
    expect((await cni('DEL', container)).code).toBe(0);
    expect((await host.exec(['ip', 'link', 'show', 'dev', name])).code).not.toBe(0);
    expect(await handles()).not.toContain(`/calico/ipam/v2/handle/${NETWORK}.${container.id}`);
    expect(
      (await keysUnder('/calico/resources/v3/projectcalico.org/workloadendpoints/')).join(),
    ).not.toContain(container.id);
    await waitUntil(
      'the table forgets it',
      async () => !(await host.execOk(['nft', 'list', 'table', 'inet', 'calico'])).includes(name),
    );
    expect((await cni('DEL', container, configuration(), { CNI_NETNS: '' })).code).toBe(0);
  });
});

describe('deny until programmed', () => {
  it('does not raise the link while etcd keeps the agent from knowing the policy, and undoes the ADD', async () => {
    const container = await newContainer();
    await test.lab.stopEtcd();
    try {
      const failure = await failureOf(cni('ADD', container));
      expect(failure.code).toBe(11);
      expect(
        (await host.exec(['ip', 'link', 'show', 'dev', `cali${container.id.slice(0, 11)}`])).code,
      ).not.toBe(0);
    } finally {
      await test.lab.startEtcd();
    }
    await waitUntil(
      'the host takes work again',
      async () => (await cni('ADD', container)).code === 0,
      60_000,
    );
    expect((await cni('DEL', container)).code).toBe(0);
  });
});

describe('results by version', () => {
  it.each([
    ['0.3.1', true, false],
    ['0.4.0', true, false],
    ['1.0.0', false, false],
    ['1.1.0', false, true],
  ])('%s', async (cniVersion, hasFamily, hasMtu) => {
    const container = await newContainer();
    const result = await add(container, configuration({ cniVersion, mtu: 1400 }));
    expect(result.cniVersion).toBe(cniVersion);
    expect(result.ips[0]?.version).toBe(hasFamily ? '4' : undefined);
    expect(result.interfaces.map(({ mtu }) => mtu)).toEqual(hasMtu ? [1400, 1400] : [undefined, undefined]);
    expect(await inContainer(container, 'ip', '-o', 'link', 'show', 'dev', 'eth0')).toContain('mtu 1400');
    expect((await cni('DEL', container, configuration({ cniVersion }))).code).toBe(0);
  });
});

describe('dual stack', () => {
  it('gives an address of each family when asked to and there is a pool', async () => {
    const pool = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: {
        name: 'v6',
        uid: 'f3c0b9a2-0d5b-4a65-9a43-2c1c8a0f2b11',
        creationTimestamp: '2026-01-01T00:00:00Z',
      },
      spec: {
        cidr: 'fd00:65::/64',
        blockSize: 122,
        vxlanMode: 'Never',
        ipipMode: 'Never',
        nodeSelector: 'all()',
      },
    };
    await etcdctl(test.lab, 'put', '/calico/resources/v3/projectcalico.org/ippools/v6', JSON.stringify(pool));
    const config = configuration({ ipam: { assign_ipv6: 'true' } });
    const [near, far] = [await newContainer(), await newContainer(test.lab.host('node-1'))];
    const result = await add(near, config);
    expect(result.ips.map(({ address }) => address)).toEqual([
      expect.stringMatching(/^10\.65\..*\/32$/),
      expect.stringMatching(/^fd00:65::.*\/128$/),
    ]);
    const target = (await add(far, config)).ips[1]?.address.split('/')[0] ?? '';
    await waitUntil(`${target} answers`, async () => {
      const ping = ['ip', 'netns', 'exec', near.id, 'ping', '-6', '-c', '1', '-W', '1', target] as const;
      return (await host.exec(ping)).code === 0;
    });
    for (const each of [near, far]) expect((await cni('DEL', each, config)).code).toBe(0);
  });
});

describe('what cannot be had', () => {
  it('names pool, limit and holders of an exhausted pool, and leaves nothing', async () => {
    const pool = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: {
        name: 'tiny',
        uid: 'f3c0b9a2-0d5b-4a65-9a43-2c1c8a0f2b12',
        creationTimestamp: '2026-01-01T00:00:00Z',
      },
      spec: {
        cidr: '10.66.0.0/31',
        blockSize: 31,
        vxlanMode: 'Never',
        ipipMode: 'Never',
        nodeSelector: 'all()',
      },
    };
    await etcdctl(
      test.lab,
      'put',
      '/calico/resources/v3/projectcalico.org/ippools/tiny',
      JSON.stringify(pool),
    );
    const config = configuration({ ipam: { ipv4_pools: ['10.66.0.0/31'] } });
    const held = [await newContainer(), await newContainer()];
    for (const each of held)
      await waitUntil('an address', async () => (await cni('ADD', each, config)).code === 0);
    const failure = await failureOf(cni('ADD', await newContainer(), config));
    expect(failure.msg).toContain('10.66.0.0/31');
    expect(failure.msg).toContain('node-1');
    for (const each of held) expect((await cni('DEL', each, config)).code).toBe(0);
  });

  it('answers 11 while the agent is away', async () => {
    const env = { CALICO_CNI_SOCKET: join(host.stateDir, 'nobody.sock') };
    const failure = await failureOf(cni('ADD', await newContainer(), configuration(), env));
    expect(failure.code).toBe(11);
    expect(failure.msg).toContain('is calico-node running?');
  });

  it('refuses a version that it does not speak with 1, and with 11 a pod whose API does not answer', async () => {
    const container = await newContainer();
    expect((await failureOf(cni('ADD', container, configuration({ cniVersion: '9.9.9' })))).code).toBe(1);
    const pod = { CNI_ARGS: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web' };
    const failure = await failureOf(cni('ADD', container, configuration(), pod));
    expect(failure.code).toBe(11);
    expect(failure.msg).toContain('does not answer');
  });

  it('collects with GC what no valid attachment names', async () => {
    const [kept, stale] = [await newContainer(), await newContainer()];
    for (const each of [kept, stale]) await add(each);
    const config = configuration({
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': [{ containerID: kept.id, ifname: 'eth0' }],
    });
    expect((await cni('GC', kept, config)).code).toBe(0);
    const left = (await handles()).filter((key) => key.includes(`${NETWORK}.`));
    expect(left).toEqual([`/calico/ipam/v2/handle/${NETWORK}.${kept.id}`]);
    expect((await cni('DEL', kept)).code).toBe(0);
  });
});
