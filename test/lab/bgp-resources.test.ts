// BGP resources on a cluster of two hosts, by kubectl: what an operator writes becomes sessions and routes of every host.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { runProgram } from '../../cli/program.ts';
import type { Lab } from '../../lab/lab.ts';
import { type KindPath, KubeClient, SERVICES } from '../../lib/kube-client/client.ts';
import { run } from '../../lib/process/run.ts';
import { type NodeStatus, parseNodeStatus } from '../../lib/protocol/node-status.ts';
import { startTestLab, type TestLab, waitUntil } from './support/test-lab.ts';

const START_MS = 120_000;
const WAIT_MS = 45_000;
const NAMES = ['node-1', 'node-2'] as const;
const CONFIGURATIONS: KindPath = { group: 'projectcalico.org', version: 'v3', plural: 'bgpconfigurations' };

let test: TestLab;
let lab: Lab;
let api: KubeClient;

beforeAll(async () => {
  test = await startTestLab({ hosts: 2, isCluster: true });
  lab = test.lab;
  const read = (name: string): Buffer => readFileSync(join(lab.certificates, 'admin', name));
  api = new KubeClient({
    server: lab.apiServer,
    ca: read('ca.pem'),
    cert: read('cert.pem'),
    key: read('key.pem'),
  });
  await eventually('the mesh', async () =>
    (await peers()).every((states) => states.join() === 'Established false'),
  );
}, START_MS);
afterAll(async () => {
  api?.close();
  await test?.stop();
}, START_MS);

async function kubectl(...args: string[]): Promise<void> {
  const result = await run('kubectl', ['--kubeconfig', lab.kubeconfig, ...args]);
  if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`);
}

/** What it prints; fails with what it says to standard error. */
async function calicoctl(...argv: string[]): Promise<string> {
  const texts = { out: '', err: '' };
  const code = await runProgram({
    argv,
    env: { KUBECONFIG: lab.kubeconfig },
    version: 'test',
    out: (text) => {
      texts.out += text;
    },
    err: (text) => {
      texts.err += text;
    },
    readStdin: async () => '',
    now: () => new Date(),
    signal: AbortSignal.timeout(WAIT_MS),
  });
  expect({ code, err: texts.err }).toEqual({ code: 0, err: '' });
  return texts.out;
}

/** Waits, also over an agent that does not answer yet. */
const eventually = (what: string, holds: () => Promise<boolean>): Promise<void> =>
  waitUntil(what, () => holds().catch(() => false), WAIT_MS);

async function status(name: string): Promise<NodeStatus> {
  const text = await api.text(`/apis/calico-ts.dev/v1/nodes/${name}/status`);
  const parsed = parseNodeStatus(JSON.parse(text));
  if (parsed === undefined) throw new Error(`${name}: no status`);
  return parsed;
}

/** State and whether it is keyed, of each session of each node. */
async function peers(): Promise<string[][]> {
  const all = await Promise.all(NAMES.map(status));
  return all.map(({ bgp }) => ('peers' in bgp ? bgp.peers.map(({ state, md5 }) => `${state} ${md5}`) : []));
}

/** Sources of the prefix's paths on the node. */
async function sources(name: string, prefix: string): Promise<string[]> {
  const text = await api.text(`/apis/calico-ts.dev/v1/nodes/${name}/rib`, { query: { prefix } });
  const { destinations } = JSON.parse(text) as { destinations: { paths: { source: string }[] }[] };
  return destinations.flatMap(({ paths }) => paths.map(({ source }) => source)).sort();
}

async function configure(spec: object): Promise<void> {
  const before = await api.find(CONFIGURATIONS, undefined, 'default');
  if (before === undefined)
    await api.create(CONFIGURATIONS, undefined, { metadata: { name: 'default' }, spec });
  else await api.replace(CONFIGURATIONS, { ...before, spec });
}

it(
  'a password of the mesh from a Secret keys every session, and they come up again',
  async () => {
    await kubectl(
      'create',
      'secret',
      'generic',
      'bgp',
      '--namespace=kube-system',
      '--from-literal=mesh=hunter2',
    );
    await configure({ nodeMeshPassword: { secretKeyRef: { name: 'bgp', key: 'mesh' } } });
    await eventually('keyed sessions', async () =>
      (await peers()).every((states) => states.join() === 'Established true'),
    );
    for (const name of NAMES)
      for (const program of ['agent', 'bgpd'])
        expect(lab.host(name).process(program)?.output()).not.toContain('hunter2');
  },
  START_MS,
);

it('a CalicoNodeStatus is filled in by the node that it asks about', async () => {
  const kind: KindPath = { group: 'projectcalico.org', version: 'v3', plural: 'caliconodestatuses' };
  const spec = { node: 'node-2', classes: ['Agent', 'BGP', 'Routes'], updatePeriodSeconds: 1 };
  await api.create(kind, undefined, { metadata: { name: 'second' }, spec });
  await eventually('the status', async () => {
    const { status: said } = await api.get(kind, undefined, 'second');
    const { bgp } = (said ?? {}) as { bgp?: { numberEstablishedV4?: number } };
    return bgp?.numberEstablishedV4 === 1;
  });
});

it(
  'networks of services are announced by every node, and installed by none',
  async () => {
    await configure({
      serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
      serviceExternalIPs: [{ cidr: '203.0.113.0/24' }],
    });
    for (const name of NAMES) {
      const other = `node.${NAMES.find((one) => one !== name)}.v4`;
      await eventually(
        `10.96.0.0/12 on ${name}`,
        async () => (await sources(name, '10.96.0.0/12')).join() === ['local', other].join(),
      );
      const { stdout } = await lab.host(name).exec(['ip', 'route', 'show', 'proto', '81']);
      expect(stdout).not.toContain('10.96.0.0/12');
    }
  },
  START_MS,
);

it('calicoctl bgp shows sessions, ways, reasons and history of every node', async () => {
  const peering = await calicoctl('bgp', 'peers');
  expect(peering).toMatch(/^node-1 +node\.node-2\.v4 +\S+ +64512 +Established /m);
  expect(peering).toMatch(/^node-2 +node\.node-1\.v4 +\S+ +64512 +Established /m);
  expect(await calicoctl('bgp', 'routes')).toMatch(/^10\.96\.0\.0\/12 +node-1,node-2 +- +-$/m);
  const ways = await calicoctl('bgp', 'routes', '10.96.0.1');
  for (const name of NAMES)
    expect(ways).toMatch(new RegExp(`^${name} +10\\.96\\.0\\.0/12 +originates it +-`, 'm'));
  const why = await calicoctl('bgp', 'why', '10.96.0.0/12', '--node', 'node-1');
  expect(why).toMatch(/^ {4}lost, from node\.node-2\.v4: .*\n {6}we originate the prefix ourselves$/m);
  expect(why).toMatch(/^ {4}node\.node-2\.v4: told next hop /m);
  const isIn = /^10\.96\.0\.0\/12 .* lost +accepted/m;
  expect(await calicoctl('bgp', 'rib-in', 'node.node-2.v4')).toMatch(isIn);
  expect(await calicoctl('bgp', 'rib-out', 'node.node-2.v4', '10.96.0.0/12')).toMatch(
    /^NODE node-1\nPREFIX .*\n10\.96\.0\.0\/12 /,
  );
  expect(await calicoctl('bgp', 'history', 'node.node-2.v4')).toContain('OpenConfirm -> Established');
  expect(await calicoctl('node', 'metrics', 'node-1')).toContain(
    'bgp_peer_state{peer="node.node-2.v4",state="Established"} 1',
  );
  expect(await calicoctl('node', 'status')).toMatch(/^node-1 +\S+ +node-to-node mesh +up +.* Established$/m);
});

it(
  'a Local service is announced by the node that has a ready endpoint of it, and by nobody once it has none',
  async () => {
    const overrides = JSON.stringify({ spec: { nodeName: 'node-2' } });
    await kubectl(
      'run',
      'web',
      '--image=busybox',
      '--labels=app=web',
      `--overrides=${overrides}`,
      '--',
      'sleep',
      '1000',
    );
    await api.create(SERVICES, 'default', {
      metadata: { name: 'web' },
      spec: {
        type: 'NodePort',
        selector: { app: 'web' },
        ports: [{ port: 80 }],
        externalIPs: ['203.0.113.5'],
        externalTrafficPolicy: 'Local',
      },
    });
    await eventually('the address from node-2', async () => {
      const seen = await Promise.all(NAMES.map((name) => sources(name, '203.0.113.5/32')));
      return seen[0]?.join() === 'node.node-2.v4' && seen[1]?.join() === 'local';
    });
    await kubectl('delete', 'pod', 'web', '--grace-period=1');
    await eventually('the address from nobody', async () => {
      const seen = await Promise.all(NAMES.map((name) => sources(name, '203.0.113.5/32')));
      return seen.flat().length === 0;
    });
  },
  START_MS,
);
