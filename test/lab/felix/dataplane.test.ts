// What the dataplane promises beyond single verdicts, with real packets: deny until programmed, revocation of live flows, what
// a workload must not reach, restart, foreign writes, faults of the writer (docs/dataplane.md).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../agents/felix/calc/messages.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type PolicyId, workloadEndpointKey } from '../../../lib/policy/compiled.ts';
import { freeze } from '../../support/freeze.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { endpointUpdate, hostPolicyUpdate, rule, tierOf } from '../../unit/felix/nftables/support.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering, type Probe } from './support/probes.ts';
import { type TestHost, until } from './support/test-host.ts';

const NODE = {
  name: 'n1',
  ip: '172.30.0.11',
  ports: [
    { port: 179, protocol: 'TCP' as const },
    { port: 7100, protocol: 'TCP' as const },
  ],
};
const OTHER = { name: 'n2', ip: '172.30.0.12', ports: [{ port: 179, protocol: 'TCP' as const }] };
const PORTS = [
  { port: 80, protocol: 'TCP' as const },
  { port: 8050, protocol: 'TCP' as const },
  { port: 53, protocol: 'UDP' as const },
];
const CASE: NetpolCase = {
  id: 'dataplane',
  title: 'dataplane',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    externals: [{ name: 'stranger', ip: '198.18.9.9', ports: PORTS }],
    namespaces: [{ name: 'red' }],
    pods: [
      {
        namespace: 'red',
        name: 'client',
        node: 'n1',
        ip: '10.80.0.2',
        labels: { app: 'client' },
        ports: PORTS,
      },
      {
        namespace: 'red',
        name: 'server',
        node: 'n1',
        ip: '10.80.0.3',
        labels: { app: 'server' },
        ports: PORTS,
      },
      {
        namespace: 'red',
        name: 'far',
        node: 'n2',
        ip: '10.80.0.66',
        labels: { app: 'client' },
        ports: PORTS,
      },
    ],
  },
  steps: [],
};
const NAT_POOL: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'IPPool',
  metadata: { name: 'pool' },
  spec: { cidr: '10.80.0.0/24', natOutgoing: true, ipipMode: 'Never', vxlanMode: 'Never' },
};
const ADDRESSES: Readonly<Record<string, string>> = {
  'red/client': '10.80.0.2',
  'red/server': '10.80.0.3',
  'red/far': '10.80.0.66',
  'node:n1': NODE.ip,
  'node:n2': OTHER.ip,
  'external:stranger': '198.18.9.9',
};

/** Ingress of `server`; the rules are YAML in flow style. */
function policy(rules: string): string {
  return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: server, namespace: red}
spec: {selector: app == 'server', ingress: [${rules}]}`;
}
const TCP_BY_SELECTOR =
  "{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80]}}";
const TCP_BY_NET =
  '{action: Allow, protocol: TCP, source: {nets: [10.80.0.0/24]}, destination: {ports: [80]}}';
const TCP_BY_RANGE = '{action: Allow, protocol: TCP, destination: {ports: ["8000:8100"]}}';
const UDP_BY_SELECTOR =
  "{action: Allow, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [53]}}";
const DENY = "{action: Deny, source: {selector: app == 'client'}}";

/** A new writer process takes a moment, and some on a machine that is busy with something else. */
const PATIENCE_MS = 20_000;

describe('the dataplane', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
    host = bed.host('n1');
  });
  beforeEach(async () => {
    host.events.length = 0;
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  afterEach(() => bed.end());
  afterAll(() => bed?.close());

  const apply = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ apply: text }], expect: [] });
    await bed.settle(world);
  };
  const remove = async (text: string): Promise<void> => {
    world.apply({ name: '', actions: [{ delete: text }], expect: [] });
    await bed.settle(world);
  };
  const probe = (from: string, to: string, protocol: 'TCP' | 'UDP', port: number): Probe => ({
    name: `${from} → ${to}`,
    from: bed.namespaceOf(from),
    fromAddress: ADDRESSES[from] ?? '',
    to: ADDRESSES[to] ?? '',
    protocol,
    port,
  });
  const verdict = async (
    from: string,
    to: string,
    protocol: 'TCP' | 'UDP',
    port: number,
  ): Promise<unknown> => {
    const [fromAddress = '', toAddress = ''] = [ADDRESSES[from], ADDRESSES[to]];
    return (await bed.probe([{ from, to, fromAddress, toAddress, protocol, port, isAllowed: true }]))[0];
  };
  /** A flow that has had an answer: a current mark is on it. */
  const liveFlow = async (
    from: string,
    to: string,
    protocol: 'TCP' | 'UDP',
    port: number,
  ): Promise<Client> => {
    const client = new Client(probe(from, to, protocol, port));
    await until(`first answer of ${from} → ${to}`, () => isAnswering(client, bed.servers));
    return client;
  };

  /** The writer dies with a look at the tables under way, and another has taken its place. */
  const loseWriter = async (): Promise<void> => {
    const pid = host.writer.pid ?? 0;
    await freeze(pid);
    await until('a look hangs', () => host.dataplane.roundMs > 20);
    process.kill(pid, 'SIGKILL');
    await until('a round has failed', () => host.dataplane.stats.failures > 0, PATIENCE_MS);
  };

  describe('revokes live flows at commit', () => {
    it.each([
      ['a key of a hash map', [TCP_BY_SELECTOR], 'TCP', 80],
      ['a network', [TCP_BY_NET], 'TCP', 80],
      ['a port range', [TCP_BY_RANGE], 'TCP', 8050],
      ['a UDP key', [UDP_BY_SELECTOR], 'UDP', 53],
    ] as const)(
      'when %s is taken away, and leaves its neighbour alone',
      async (_name, rules, protocol, port) => {
        const neighbour = protocol === 'UDP' ? TCP_BY_NET : UDP_BY_SELECTOR;
        await apply(policy([...rules, neighbour].join()));
        const revoked = await liveFlow('red/client', 'red/server', protocol, port);
        const kept =
          protocol === 'UDP'
            ? await liveFlow('red/client', 'red/server', 'TCP', 80)
            : await liveFlow('red/client', 'red/server', 'UDP', 53);
        const before = host.dataplane.table.generation;
        await apply(policy(neighbour));
        expect(host.dataplane.table.generation).not.toBe(before);
        const answers = Array.from({ length: 20 }, () => [
          isAnswering(revoked, bed.servers),
          isAnswering(kept, bed.servers),
        ]);
        expect(answers).toEqual(Array.from({ length: 20 }, () => [false, true]));
        for (const client of [revoked, kept]) client.close();
      },
    );

    it('when a label, and not the policy, has changed', async () => {
      await apply(policy(TCP_BY_SELECTOR));
      const flow = await liveFlow('red/client', 'red/server', 'TCP', 80);
      await apply(
        '{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: red, labels: {app: other}}}',
      );
      expect(Array.from({ length: 10 }, () => isAnswering(flow, bed.servers))).toEqual(
        Array.from({ length: 10 }, () => false),
      );
      flow.close();
    });

    it('when a deny rule is put before what allowed them', async () => {
      await apply(policy(TCP_BY_SELECTOR));
      const flow = await liveFlow('red/far', 'red/server', 'TCP', 80);
      await apply(policy(`${DENY}, ${TCP_BY_SELECTOR}`));
      expect(Array.from({ length: 10 }, () => isAnswering(flow, bed.servers))).toEqual(
        Array.from({ length: 10 }, () => false),
      );
      flow.close();
    });

    it('but an addition that only allows moves no generation', async () => {
      await apply(policy(TCP_BY_SELECTOR));
      const before = host.dataplane.table.generation;
      await apply(
        '{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: red, labels: {app: client}, annotations: {cni.projectcalico.org/ipAddrs: \'["10.80.0.9"]\'}}, spec: {nodeName: n2, containers: []}}',
      );
      expect(host.dataplane.table.generation).toBe(before);
      await remove('{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: red}}');
      expect(host.dataplane.table.generation).not.toBe(before);
    });
  });

  describe('lets no workload', () => {
    it('reach a node’s BGP port, its own node’s or another’s, even by way of NAT outgoing', async () => {
      await bed.settleResources([...world.resources(), NAT_POOL]);
      expect(await verdict('red/client', 'node:n2', 'TCP', 179)).toBe('denied');
      expect(await verdict('red/client', 'node:n1', 'TCP', 179)).toBe('denied');
      expect(await verdict('node:n1', 'node:n2', 'TCP', 179)).toBe('allowed');
    });

    it('reach it at an address of a node that is not its BGP address', async () => {
      const second = '172.30.0.112';
      const other = bed.namespaceOf('node:n2');
      await other.ip(`addr replace ${second}/24 dev eth0`);
      bed.servers.add(other, second, 'TCP', 179);
      const ask = async (): Promise<unknown> => {
        const ends = { from: 'red/client', to: 'node:n2', fromAddress: '10.80.0.2', toAddress: second };
        return (await bed.probe([{ ...ends, protocol: 'TCP', port: 179, isAllowed: true }]))[0];
      };
      const withSecond = world.resources().map((resource) => {
        if (resource.kind !== 'Node' || resource.metadata.name !== 'n2') return resource;
        const spec = {
          ...(resource as { spec?: object }).spec,
          addresses: [{ address: second, type: 'ExternalIP' }],
        };
        return { ...resource, spec };
      });
      await bed.settleResources([...withSecond, NAT_POOL]);
      expect(await ask()).toBe('denied');
    });

    it('reach its own host', async () => {
      expect(await verdict('red/client', 'node:n1', 'TCP', 7100)).toBe('denied');
    });

    it('use a source address that is not its own', async () => {
      const pod = bed.namespaceOf('red/client');
      await pod.ip('addr add 10.80.0.3/32 dev lo');
      const spoofing = new Client({ ...probe('red/client', 'red/far', 'UDP', 53), fromAddress: '10.80.0.3' });
      await until('the denial is counted', async () => {
        // The policy is in the kernel; the link may be raised a moment later.
        spoofing.ask();
        return ((await host.readDenials()).get('10.80.0.3 10.80.0.66 17 53') ?? 0) > 0;
      });
      spoofing.close();
    });

    it('be spoken for from outside', async () => {
      const stranger = bed.namespaceOf('external:stranger');
      await stranger.ip('addr add 10.80.0.2/32 dev lo');
      await apply(policy(UDP_BY_SELECTOR));
      const fake = new Client({
        ...probe('external:stranger', 'red/server', 'UDP', 53),
        fromAddress: '10.80.0.2',
      });
      fake.ask();
      await until('the drop is counted', async () => {
        return ((await host.readDenials()).get('10.80.0.2 10.80.0.3 17 53') ?? 0) > 0;
      });
      fake.close();
    });
  });

  it('lets a workload tell its host at once that a port is closed', async () => {
    const unreachable = async (): Promise<number> => {
      const counters = await host.namespace.exec('cat', '/proc/net/snmp');
      const [names = '', values = ''] = counters.split('\n').filter((line) => line.startsWith('Icmp: '));
      return Number(values.split(' ')[names.split(' ').indexOf('InDestUnreachs')]);
    };
    const before = await unreachable();
    const asking = new Client(probe('node:n1', 'red/server', 'UDP', 5999));
    await until('the error has come in', async () => {
      asking.ask();
      return (await unreachable()) > before;
    });
    asking.close();
  });

  describe('obeys a FelixConfiguration', () => {
    const felix = (spec: Record<string, unknown>): Resource => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'FelixConfiguration',
      metadata: { name: 'default' },
      spec,
    });
    const settle = (spec: Record<string, unknown>): Promise<void> =>
      bed.settleResources([...world.resources(), felix(spec)]);

    it('that lets workloads reach their host, and cuts their flows when it says so no longer', async () => {
      expect(await verdict('red/client', 'node:n1', 'TCP', 7100)).toBe('denied');
      await settle({ defaultEndpointToHostAction: 'Accept' });
      const flow = await liveFlow('red/client', 'node:n1', 'TCP', 7100);
      const before = host.dataplane.table.generation;
      await settle({ defaultEndpointToHostAction: 'drop' });
      expect(host.dataplane.table.generation).not.toBe(before);
      expect(Array.from({ length: 20 }, () => isAnswering(flow, bed.servers))).toEqual(Array(20).fill(false));
      flow.close();
    });

    it('that names more prefixes of workload interfaces, besides our own', async () => {
      await settle({ interfacePrefix: 'tap,eth9' });
      const listed = await host.namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'forward');
      expect(listed).toContain('iifname != { "cali*", "eth9*", "tap*" }');
      expect(await verdict('red/client', 'red/server', 'UDP', 53)).toBe('allowed');
      expect(await verdict('red/client', 'node:n1', 'TCP', 7100)).toBe('denied');
    });

    it('that says how often routes and neighbours are put right', async () => {
      const { interfaceName: dev = '', mac = '' } = host.pods[0] ?? {};
      // As the CNI server writes it: with the pod's MAC.
      const resources = world.resources().map((resource): Resource => {
        const isOurs = resource.kind === 'WorkloadEndpoint' && resource.metadata.name.includes('client');
        return isOurs ? { ...resource, spec: { ...(resource.spec ?? {}), mac } } : resource;
      });
      await bed.settleResources([
        ...resources,
        felix({ routeRefreshInterval: '1s', removeExternalRoutes: false }),
      ]);
      const show = (...args: string[]): Promise<string> => host.namespace.exec('ip', ...args);
      await host.namespace.ip(
        `route add 10.80.0.99/32 dev ${dev} proto 80`,
        `route add 10.80.0.98/32 dev ${dev} proto 4`,
        `route del 10.80.0.2/32 dev ${dev}`,
      );
      await until('the routes are right', async () => {
        const routes = await show('route', 'show', 'dev', dev);
        return routes.includes('10.80.0.2 ') && !routes.includes('10.80.0.99');
      });
      await host.namespace.ip(`neigh replace 10.80.0.2 lladdr 02:00:00:00:00:99 dev ${dev} nud permanent`);
      await until('the neighbour is right', async () =>
        (await show('neigh', 'show', 'dev', dev)).includes(mac),
      );
      expect(await show('route', 'show', 'dev', dev)).toContain('10.80.0.98');
      expect(await verdict('red/server', 'red/client', 'UDP', 53)).toBe('allowed');
    });

    it('that says with which address and ports NAT outgoing leaves', async () => {
      await host.namespace.ip('addr add 172.30.0.111/32 dev eth0');
      const config = felix({ natOutgoingAddress: '172.30.0.111', natPortRange: '40000:40009' });
      await bed.settleResources([...world.resources(), NAT_POOL, config]);
      const flow = new Client(probe('red/client', 'external:stranger', 'UDP', 53));
      await until('it has left', async () => {
        flow.ask();
        const entries = await host.namespace.exec('conntrack', '-L', '-p', 'udp');
        return /src=10\.80\.0\.2 dst=198\.18\.9\.9 .* src=198\.18\.9\.9 dst=172\.30\.0\.111 sport=53 dport=4000\d /.test(
          entries,
        );
      });
      flow.close();
      // The next test's stranger is another machine with the same address.
      await host.namespace.ip('addr del 172.30.0.111/32 dev eth0', 'neigh flush to 198.18.9.9 dev eth0');
    });

    it('that says what source and number its routes have', async () => {
      await settle({ deviceRouteSourceAddress: NODE.ip, deviceRouteProtocol: 90 });
      const route = (): Promise<string> => host.namespace.exec('ip', 'route', 'show', '10.80.0.2');
      await until('it is so', async () => /proto 90 scope link src 172\.30\.0\.11 /.test(await route()));
      await bed.settle(world);
      await until('it is as before', async () => /proto 80 scope link *$/m.test(await route()));
    });

    it('that sets what has no effect, by saying so once', async () => {
      const said = (): readonly (string | undefined)[] =>
        host.events.filter(({ object }) => object === 'FelixConfiguration').map(({ cause }) => cause);
      await settle({ bpfEnabled: true, usageReportingEnabled: true, logSeverityScreen: 'Info' });
      await settle({ bpfEnabled: true, usageReportingEnabled: true, vxlanPort: 99_999 });
      expect(said()).toEqual([
        'settings without effect in this version: bpfEnabled, usageReportingEnabled',
        'values that are not taken, the defaults stay: vxlanPort=99999',
      ]);
    });
  });

  it('masquerades what leaves a pool with NAT outgoing, and nothing within the pools', async () => {
    await bed.settleResources([...world.resources(), NAT_POOL]);
    expect(await verdict('red/client', 'external:stranger', 'UDP', 53)).toBe('allowed');
    expect(await verdict('red/client', 'red/far', 'UDP', 53)).toBe('allowed');
    const entries = await host.namespace.exec('conntrack', '-L', '-p', 'udp');
    expect(entries).toMatch(new RegExp(`src=10.80.0.2 dst=198.18.9.9 .* src=198.18.9.9 dst=${NODE.ip} `));
    expect(entries).toMatch(/src=10.80.0.2 dst=10.80.0.66 .* src=10.80.0.66 dst=10.80.0.2 /);
  });

  it('says that an endpoint is programmed only when all of it is in the kernel', async () => {
    const key = workloadEndpointKey({
      host: 'n1',
      orchestrator: 'k8s',
      workload: 'red/client',
      endpoint: 'eth0',
    });
    await host.dataplane.waitForEndpoint(key, 0, AbortSignal.timeout(5_000));
    // Nobody puts back what is taken away, but this test.
    await host.dataplane.stop();
    const nft = (...args: string[]): Promise<string> => host.namespace.exec('nft', ...args);
    const map = ['inet', 'calico', `id4_v${host.dataplane.table.epoch}`];
    const [element = ''] = /10\.80\.0\.2 : \w+/.exec(await nft('list', 'map', ...map)) ?? [];
    await nft('delete', 'element', ...map, '{ 10.80.0.2 }');
    expect(await host.dataplane.missingOf(key)).toEqual(['elements of the endpoint']);
    await nft('add', 'element', ...map, `{ ${element} }`);
    expect(await host.dataplane.missingOf(key)).toEqual([]);
    await host.namespace.ip(`route del 10.80.0.2/32 dev ${host.pods[0]?.interfaceName}`);
    expect(await host.dataplane.missingOf(key)).toEqual(['route 10.80.0.2/32']);
  });

  it('drops what comes through a workload interface that it does not know, from the first packet', async () => {
    const pod = await host.addPod('red', 'unknown', ['10.80.0.20']);
    await host.namespace.ip(
      `link set ${pod.interfaceName} up`,
      `route replace 10.80.0.20/32 dev ${pod.interfaceName}`,
    );
    const flow = new Client({
      ...probe('red/client', 'red/server', 'UDP', 53),
      from: pod.namespace,
      fromAddress: '10.80.0.20',
    });
    flow.ask();
    await until('the denial is counted', async () => {
      return ((await host.readDenials()).get('10.80.0.20 10.80.0.3 17 53') ?? 0) > 0;
    });
    flow.close();
  });

  it('puts its table back within about a second of another’s `nft flush ruleset`', async () => {
    await apply(policy(UDP_BY_SELECTOR));
    const startedAt = performance.now();
    await host.namespace.exec('nft', 'flush', 'ruleset');
    await until('the table is back', async () => {
      return host.events.some(({ kind, cause }) => kind === 'kernelResynced' && cause?.includes('the table'));
    });
    process.stdout.write(
      `a flushed ruleset was put back after ${Math.round(performance.now() - startedAt)} ms\n`,
    );
    expect(await verdict('red/client', 'red/server', 'TCP', 80)).toBe('denied');
    expect(await verdict('red/client', 'red/server', 'UDP', 53)).toBe('allowed');
  });

  it('puts back an element that somebody took away', async () => {
    const { epoch } = host.dataplane.table;
    await host.namespace.exec('nft', 'delete', 'element', 'inet', 'calico', `id4_v${epoch}`, '{ 10.80.0.2 }');
    await until('a new epoch', () => host.dataplane.table.epoch > epoch);
    await until('the element is back', async () => {
      const { epoch: now } = host.dataplane.table;
      return (await host.namespace.exec('nft', 'list', 'map', 'inet', 'calico', `id4_v${now}`)).includes(
        '10.80.0.2',
      );
    });
  });

  it('leaves its table alone when somebody changes another', async () => {
    // What the test before has left is taken away a second later, by a listing of the table.
    await until('nothing is left', () => host.dataplane.table.dueAtMs === undefined);
    const { epoch } = host.dataplane.table;
    const { writer } = host;
    const query = writer.nftQuery.bind(writer);
    const listed: string[] = [];
    writer.nftQuery = async (text, output) => {
      listed.push(text);
      return await query(text, output);
    };
    const looked = async (): Promise<void> => {
      const checks = host.dataplane.foreignChecks;
      await until('it has looked', () => host.dataplane.foreignChecks > checks + 1);
    };
    await host.namespace.exec('nft', 'add', 'table', 'inet', 'foreign');
    await looked();
    // Nobody knows what was before the first look.
    listed.length = 0;
    const { foreignWrites } = host.dataplane.table;
    await host.namespace.exec('nft', 'add', 'chain', 'inet', 'foreign', 'calico');
    await looked();
    expect(host.dataplane.table.foreignWrites).toBe(foreignWrites + 1);
    expect(listed).not.toContain('list table inet calico');
    expect(host.dataplane.table.epoch).toBe(epoch);
    await host.namespace.exec('nft', 'delete', 'table', 'inet', 'foreign');
    writer.nftQuery = query;
  });

  it('goes on under a new epoch when a writer dies with a change under way, and loses no verdict', async () => {
    await apply(policy(TCP_BY_SELECTOR));
    const flow = await liveFlow('red/client', 'red/server', 'TCP', 80);
    const pid = host.writer.pid ?? 0;
    const change = apply(policy([TCP_BY_SELECTOR, UDP_BY_SELECTOR].join()));
    process.kill(pid, 'SIGKILL');
    await change;
    expect(host.writer.pid).not.toBe(pid);
    expect(isAnswering(flow, bed.servers)).toBe(true);
    expect(await verdict('red/client', 'red/server', 'UDP', 53)).toBe('allowed');
    expect(await verdict('red/client', 'red/server', 'TCP', 8050)).toBe('denied');
    flow.close();
  });

  it('moves to a new epoch when a number space runs out', async () => {
    await bed.end();
    world = await bed.begin(CASE, { numberLimit: 40 });
    await bed.settle(world);
    const { epoch } = host.dataplane.table;
    for (let index = 0; index < 30; index++) {
      const net = `{action: Allow, protocol: TCP, source: {nets: [10.90.${index}.0/24]}, destination: {ports: [80]}}`;
      await apply(policy(`${net}, ${TCP_BY_SELECTOR}`));
    }
    expect(host.dataplane.table.epoch).toBeGreaterThan(epoch);
    expect(await verdict('red/client', 'red/server', 'TCP', 80)).toBe('allowed');
    expect(await verdict('red/client', 'red/server', 'TCP', 8050)).toBe('denied');
  });

  it('leaves out an endpoint that the kernel refuses, says so, and goes on with the rest', async () => {
    const bad = {
      id: { host: 'n1', orchestrator: 'k8s', workload: 'red/bad', endpoint: 'eth0' },
      interfaceName: 'caliwithanamethatistoolong',
      mac: undefined,
      nets4: ['10.80.0.30/32'],
      nets6: [],
      allowSpoofedSourcePrefixes: [],
      profiles: [],
      tiers: [],
      identity: 1,
      revision: 1,
    };
    await host.dataplane.apply({
      messages: [{ type: 'workloadEndpointUpdate', endpoint: bad }],
      revision: 1,
      invalid: [],
    });
    expect([...host.dataplane.table.leftOut]).toEqual(['n1/k8s/red/bad/eth0']);
    expect(host.events).toContainEqual(
      expect.objectContaining({ kind: 'kernelRefused', object: 'WorkloadEndpoint/n1/k8s/red/bad/eth0' }),
    );
    await apply(policy(UDP_BY_SELECTOR));
    expect(await verdict('red/client', 'red/server', 'UDP', 53)).toBe('allowed');
    expect(await verdict('red/client', 'red/server', 'TCP', 80)).toBe('denied');
  });

  it('takes one in again when its policies have become ones that the kernel takes', async () => {
    const pod = await host.addPod('red', 'deep', ['10.80.0.31']);
    const names = Array.from({ length: 18 }, (_, index) => `deep${index}`);
    const idOf = (name: string): PolicyId => ({ kind: 'GlobalNetworkPolicy', namespace: '', name });
    const say = (...messages: CalcMessage[]): Promise<unknown> =>
      host.dataplane.apply({ messages, revision: 1, invalid: [] });
    const policies = (verdict: 'pass' | 'allow'): CalcMessage[] =>
      names.map((name) => hostPolicyUpdate(name, [{ ...rule(0), verdict }]));
    const endpoint = endpointUpdate(
      'deep',
      '10.80.0.31',
      1,
      names.map((name) => tierOf([idOf(name)], name)),
    );
    if (endpoint.type !== 'workloadEndpointUpdate') throw new Error('no endpoint');
    const deep = { ...endpoint.endpoint, interfaceName: pod.interfaceName };
    const key = workloadEndpointKey(deep.id);
    await say(...policies('pass'), { ...endpoint, endpoint: deep });
    expect([...host.dataplane.table.leftOut]).toEqual([key]);
    const { epoch } = host.dataplane.table;
    await say(hostPolicyUpdate('deep0', [{ ...rule(0, { protocol: 17 }), verdict: 'pass' }]));
    expect([...host.dataplane.table.leftOut]).toEqual([key]);
    await say(...policies('allow'));
    expect([...host.dataplane.table.leftOut]).toEqual([]);
    expect(host.dataplane.table.epoch).toBe(epoch);
    await host.dataplane.waitForEndpoint(key, 0, AbortSignal.timeout(PATIENCE_MS));
  });

  it('enforces the rest of a rule that looks into HTTP, and says so', async () => {
    await apply(policy(`{action: Allow, protocol: TCP, http: {methods: [GET]}, destination: {ports: [80]}}`));
    expect(await verdict('red/client', 'red/server', 'TCP', 80)).toBe('allowed');
    expect(await verdict('red/client', 'red/server', 'TCP', 8050)).toBe('denied');
    expect(host.events).toContainEqual(
      expect.objectContaining({
        kind: 'kernelRefused',
        object: 'NetworkPolicy/red/server',
        cause: expect.stringContaining('spec.ingress[0].http is not enforced'),
      }),
    );
  });

  it('cleans up what other epochs left, a second later', async () => {
    host.dataplane.table.replace('test');
    await apply(policy(TCP_BY_SELECTOR));
    await until('only this epoch is left', async () => {
      const table = await host.namespace.exec('nft', 'list', 'table', 'inet', 'calico');
      const epochs = new Set(table.match(/(?<=(?:map|set|chain) \w+_v)\d+/g));
      return epochs.size === 1 && epochs.has(String(host.dataplane.table.epoch));
    });
  });

  it('adopts an earlier agent’s table: live flows run on, and no packet gets a wrong verdict', async () => {
    await apply(policy(UDP_BY_SELECTOR));
    const flow = await liveFlow('red/client', 'red/server', 'UDP', 53);
    const { epoch, generation } = host.dataplane.table;
    await host.dataplane.stop();
    host.useDataplane({});
    await host.dataplane.start();
    expect(await bed.probeAllowed(probe('red/client', 'red/server', 'UDP', 53))).toBe(true);
    expect(isAnswering(flow, bed.servers)).toBe(true);
    bed.renewFeed('n1');
    const settling = bed.settle(world);
    const answers: boolean[] = [];
    let isSettled = false;
    void settling.finally(() => {
      isSettled = true;
    });
    while (!isSettled) {
      answers.push(isAnswering(flow, bed.servers));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settling;
    expect(answers).not.toContain(false);
    expect(host.dataplane.table.epoch).toBe(epoch + 1);
    expect(host.dataplane.table.generation).toBe(generation + 1);
    expect(await verdict('red/client', 'red/server', 'TCP', 8050)).toBe('denied');
    flow.close();
  });

  it('leaves an adopted table as it is when its writer dies before the first in-sync', async () => {
    await apply(policy(UDP_BY_SELECTOR));
    const flow = await liveFlow('red/client', 'red/server', 'UDP', 53);
    await host.restartAgent();
    await host.dataplane.start();
    const { epoch } = host.dataplane.table;
    await loseWriter();
    const checks = host.dataplane.foreignChecks;
    await until('it has looked again', () => host.dataplane.foreignChecks > checks + 2, PATIENCE_MS);
    expect(host.dataplane.table.epoch).toBe(epoch);
    expect(await bed.probeAllowed(probe('red/client', 'red/server', 'UDP', 53))).toBe(true);
    expect(isAnswering(flow, bed.servers)).toBe(true);
    flow.close();
  });

  it('closes the host before the first in-sync when the adopted table goes, even if that fails once', async () => {
    await host.restartAgent();
    await host.dataplane.start();
    await freeze(host.writer.pid);
    await until('a look hangs', () => host.dataplane.roundMs > 20);
    await host.namespace.exec('nft', 'flush', 'ruleset');
    process.kill(host.writer.pid ?? 0, 'SIGKILL');
    const isThere = async (): Promise<boolean> =>
      (await host.namespace.exec('nft', 'list', 'ruleset')).includes('goto judge_');
    await until('a table is there', isThere, PATIENCE_MS);
  });
});
