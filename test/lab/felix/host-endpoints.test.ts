// Host endpoints with real packets, where the evaluator has nothing to say: address translation of others, live flows, interfaces
// that come and go, IPv6, the loopback interface, what the host only routes (docs/dataplane.md "Host endpoints").

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import type { FuzzPacket } from '../../support/policy-fuzz/packets.ts';
import { rawPacket } from '../../support/policy-fuzz/raw-packet.ts';
import {
  ALLOW_ALL,
  DENY_ALL,
  felixConfiguration,
  hostEndpoint,
  hostPolicy,
  toPorts,
} from './support/host-policies.ts';
import { Namespace } from './support/namespaces.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering, type Probe, type ProbeVerdict, probeAll } from './support/probes.ts';
import { IpProtocol, SocketType, sys } from './support/syscalls.ts';
import { countDenials, type TestHost, until as untilWithin } from './support/test-host.ts';

const PORTS = [
  { port: 22, protocol: 'TCP' as const },
  { port: 80, protocol: 'TCP' as const },
  { port: 7100, protocol: 'UDP' as const },
];
const NODE = { name: 'n1', ip: '172.30.0.11', ports: PORTS };
const OTHER = { name: 'n2', ip: '172.30.0.12', ports: PORTS };
const STRANGER = '198.18.9.9';
const SERVER = '10.80.0.3';
/** Behind the host's second interface. */
const INSIDE = '172.31.0.9';
const INNER = '172.31.0.1';
const CASE: NetpolCase = {
  id: 'host-endpoints',
  title: 'host endpoints',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    externals: [{ name: 'stranger', ip: STRANGER, ports: PORTS }],
    namespaces: [{ name: 'red' }],
    pods: [{ namespace: 'red', name: 'server', node: 'n1', ip: SERVER, ports: PORTS }],
  },
  steps: [],
};
const OPEN = { profiles: ['projectcalico-default-allow'] };
const ETH0 = hostEndpoint('n1', 'eth0', { interfaceName: 'eth0' });
const OPEN_ETH0 = hostEndpoint('n1', 'eth0', { interfaceName: 'eth0', ...OPEN });
const IN_80 = hostPolicy('in', { ingress: [toPorts('Allow', 'TCP', 80)] });
const ROUNDS = 5;

/** Half of a test's time: the machine may be busy. */
const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
  untilWithin(what, condition, 15_000);

/** Packets with their header. */
const IPPROTO_RAW = 255;

describe('host endpoints', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  const opened: { close(): void }[] = [];
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
    host = bed.host('n1');
  });
  beforeEach(async () => {
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await host.namespace.exec(
      'sh',
      '-c',
      'nft delete table ip foreign 2>/dev/null; ip link del eth1 2>/dev/null; true',
    );
    await bed.end();
  });
  afterAll(() => bed?.close());

  const store = async (...objects: readonly Resource[]): Promise<void> =>
    await bed.settleResources([...world.resources(), ...objects]);
  const probe = (
    from: string,
    fromAddress: string,
    to: string,
    port: number,
    protocol: 'TCP' | 'UDP' = 'TCP',
  ): Probe => ({
    name: `${from} → ${to}`,
    from: bed.namespaceOf(from),
    fromAddress,
    to,
    protocol,
    port,
  });
  const fromStranger = (to: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP'): Probe =>
    probe('external:stranger', STRANGER, to, port, protocol);
  const verdict = async (flow: Probe): Promise<ProbeVerdict | undefined> =>
    (await probeAll([flow], bed.servers, () => countDenials([...bed.hosts.values()])))[0];
  const keep = <Thing extends { close(): void }>(thing: Thing): Thing => {
    opened.push(thing);
    return thing;
  };
  const liveFlow = async (flow: Probe): Promise<Client> => {
    const client = keep(new Client(flow));
    await until(`first answer of ${flow.name}`, () => isAnswering(client, bed.servers));
    return client;
  };
  /** What the kernel counted as denied, of a source, destination, protocol number and port. */
  const denials = async (key: string): Promise<number> => (await host.readDenials()).get(key) ?? 0;
  const keepsAnswering = async (client: Client): Promise<boolean> => {
    for (let round = 0; round < ROUNDS; round++)
      await until('another answer', () => isAnswering(client, bed.servers));
    return true;
  };
  /** Whether nothing passes any more once the kernel denies; `key` is what of the flow it counts. */
  const isCut = async (client: Client, key: string): Promise<boolean> => {
    const denied = async (count: number): Promise<boolean> => {
      let hasAnswered = false;
      const before = await denials(key);
      await until(`denials of ${key}`, async () => {
        hasAnswered = isAnswering(client, bed.servers) || hasAnswered;
        return (await denials(key)) >= before + count;
      });
      return !hasAnswered;
    };
    // Answers may be under way to questions of before.
    await denied(1);
    return await denied(ROUNDS);
  };
  const inputRules = async (): Promise<string> =>
    await host.namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'input');
  /** A namespace behind `eth1`, reached by the stranger by way of the host. */
  const connectInside = async (addresses: readonly string[] = [`${INNER}/24`]): Promise<Namespace> => {
    const inside = keep(Namespace.create('inside'));
    await host.namespace.ip(
      `link add eth1 type veth peer name eth0 netns ${inside.path}`,
      ...addresses.map((address) => `addr add ${address} dev eth1`),
      'link set eth1 up',
    );
    await inside.ip(
      'link set lo up',
      `addr add ${INSIDE}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${INNER}`,
    );
    await bed.namespaceOf('external:stranger').ip(`route replace 172.31.0.0/24 via ${NODE.ip}`);
    return inside;
  };
  const translate = async (chain: 'prerouting' | 'output', match: string, to: string): Promise<void> => {
    const priority = chain === 'prerouting' ? 'dstnat' : '-100';
    await host.namespace.exec(
      'nft',
      `table ip foreign { chain c { type nat hook ${chain} priority ${priority}; ${match} dnat to ${to}; }; }`,
    );
  };

  it('are revoked at commit, and leave their neighbours alone', async () => {
    const udp = toPorts('Allow', 'UDP', 7100);
    await store(ETH0, hostPolicy('in', { ingress: [toPorts('Allow', 'TCP', 80), udp] }));
    const revoked = await liveFlow(fromStranger(NODE.ip, 80));
    const kept = await liveFlow(fromStranger(NODE.ip, 7100, 'UDP'));
    await store(ETH0, hostPolicy('in', { ingress: [udp] }));
    expect(await isCut(revoked, `${STRANGER} ${NODE.ip} 6 80`)).toBe(true);
    expect(await keepsAnswering(kept)).toBe(true);
  });

  it('judge flows that were there before them', async () => {
    const flows = await Promise.all(
      [fromStranger(NODE.ip, 80), fromStranger(NODE.ip, 7100, 'UDP')].map(liveFlow),
    );
    await store(ETH0, IN_80);
    const [allowed, denied] = flows as [Client, Client];
    expect(await keepsAnswering(allowed)).toBe(true);
    expect(await isCut(denied, `${STRANGER} ${NODE.ip} 17 7100`)).toBe(true);
  });

  it('judge anew what an endpoint of before had allowed', async () => {
    await store(OPEN_ETH0);
    const flow = await liveFlow(fromStranger(NODE.ip, 80));
    await store();
    expect(await keepsAnswering(flow)).toBe(true);
    await store(ETH0);
    expect(await isCut(flow, `${STRANGER} ${NODE.ip} 6 80`)).toBe(true);
  });

  it('revoke what is forwarded to workloads', async () => {
    const forward = (...ports: readonly number[]): Resource =>
      hostPolicy('forward', { applyOnForward: true, ingress: [toPorts('Allow', 'TCP', ...ports)] });
    await store(ETH0, forward(22, 80));
    const revoked = await liveFlow(fromStranger(SERVER, 80));
    const kept = await liveFlow(fromStranger(SERVER, 22));
    await store(ETH0, forward(22));
    expect(await isCut(revoked, `${STRANGER} ${SERVER} 6 80`)).toBe(true);
    expect(await keepsAnswering(kept)).toBe(true);
  });

  it('police what the host routes between others, on both sides, without failsafe ports', async () => {
    const inside = await connectInside();
    for (const { port } of PORTS.slice(0, 2)) bed.servers.add(inside, INSIDE, 'TCP', port);
    const fromInside = (port: number): Probe => ({
      ...fromStranger(STRANGER, port),
      from: inside,
      fromAddress: INSIDE,
    });
    await store(OPEN_ETH0);
    expect([await verdict(fromStranger(INSIDE, 22)), await verdict(fromInside(22))]).toEqual([
      'allowed',
      'allowed',
    ]);
    await store(OPEN_ETH0, hostPolicy('f', { applyOnForward: true, ingress: [toPorts('Allow', 'TCP', 80)] }));
    expect([await verdict(fromStranger(INSIDE, 80)), await verdict(fromStranger(INSIDE, 22))]).toEqual([
      'allowed',
      'denied',
    ]);
    expect(await verdict(fromInside(22))).toBe('allowed');
    await store(OPEN_ETH0, hostPolicy('f', { applyOnForward: true, egress: [toPorts('Allow', 'TCP', 80)] }));
    expect([await verdict(fromInside(80)), await verdict(fromInside(22))]).toEqual(['allowed', 'denied']);
    expect(await verdict(fromStranger(INSIDE, 22))).toBe('allowed');
  });

  describe('with address translation of others', () => {
    const PUBLISHED = 8081;
    const preDnat = (action: string): Resource =>
      hostPolicy('pre', {
        preDNAT: true,
        applyOnForward: true,
        ingress: [toPorts(action, 'TCP', PUBLISHED)],
      });

    it('see the address before it in pre-DNAT policy, the one after it in others', async () => {
      await translate('prerouting', `tcp dport ${PUBLISHED}`, `${SERVER}:80`);
      await store(OPEN_ETH0, preDnat('Deny'));
      expect(await verdict(fromStranger(NODE.ip, PUBLISHED))).toBe('denied');
      expect(await verdict(fromStranger(SERVER, 80))).toBe('allowed');
      const closed = hostPolicy('forward', {
        applyOnForward: true,
        ingress: [toPorts('Deny', 'TCP', 80), ALLOW_ALL],
      });
      await store(OPEN_ETH0, closed);
      const before = await denials(`${STRANGER} ${SERVER} 6 80`);
      expect(await bed.probeAllowed(fromStranger(NODE.ip, PUBLISHED), 200)).toBe(false);
      expect(await denials(`${STRANGER} ${SERVER} 6 80`)).toBeGreaterThan(before);
      await store(OPEN_ETH0, closed, preDnat('Allow'));
      expect(await verdict(fromStranger(NODE.ip, PUBLISHED))).toBe('allowed');
    });

    it('revoke a flow in which only the other end speaks', async () => {
      const server = bed.namespaceOf('red/server').inside(() => {
        const fd = sys.socket(SocketType.stream, IpProtocol.tcp, SERVER, 7200);
        sys.listen(fd);
        return fd;
      });
      keep({ close: () => sys.close(server) });
      await translate('prerouting', `tcp dport ${PUBLISHED}`, `${SERVER}:7200`);
      await store(OPEN_ETH0);
      const client = keep(new Client(fromStranger(NODE.ip, PUBLISHED)));
      let connection: number | undefined;
      await until('the connection', () => {
        connection ??= sys.accept(server);
        return connection !== undefined;
      });
      const push = (): boolean => {
        client.drain();
        sys.send(connection ?? -1, Buffer.from('news'));
        return client.hasAnswer;
      };
      await until('the first news', push);
      await store(OPEN_ETH0, preDnat('Deny'));
      // Of a reply its flow is counted.
      const cut = async (): Promise<number> => await denials(`${STRANGER} ${SERVER} 6 7200`);
      await until('the first denial', async () => {
        push();
        return (await cut()) > 0;
      });
      let hasPassed = false;
      const before = await cut();
      await until('more denials', async () => {
        hasPassed = push() || hasPassed;
        return (await cut()) >= before + ROUNDS;
      });
      expect(hasPassed).toBe(false);
      client.ask();
      expect(sys.receive(connection ?? -1)).toBeUndefined();
      sys.close(connection ?? -1);
    });

    it('judge the host’s own traffic by where it goes', async () => {
      await translate('output', 'ip daddr 10.101.0.10 tcp dport 80', `${OTHER.ip}:80`);
      const toService = probe('node:n1', NODE.ip, '10.101.0.10', 80);
      await host.namespace.ip(`route replace 10.101.0.0/24 via ${OTHER.ip}`);
      await store(OPEN_ETH0);
      expect(await verdict(toService)).toBe('allowed');
      await store(OPEN_ETH0, hostPolicy('out', { egress: [toPorts('Allow', 'TCP', 7100)] }));
      const before = await denials(`${NODE.ip} ${OTHER.ip} 6 80`);
      expect(await bed.probeAllowed(toService, 200)).toBe(false);
      expect(await denials(`${NODE.ip} ${OTHER.ip} 6 80`)).toBeGreaterThan(before);
    });

    it('never police the host to its own workload, by a service neither', async () => {
      await translate('output', 'ip daddr 10.101.0.20 tcp dport 80', `${SERVER}:80`);
      await host.namespace.ip(`route replace 10.101.0.0/24 via ${OTHER.ip}`);
      await store(
        hostEndpoint('n1', 'all', { interfaceName: '*' }),
        hostPolicy('none', { egress: [DENY_ALL] }),
      );
      expect(await verdict(probe('node:n1', NODE.ip, '10.101.0.20', 80))).toBe('allowed');
    });

    it('leave alone what the host forwards by translation, without policy for that', async () => {
      const inside = await connectInside();
      bed.servers.add(inside, INSIDE, 'TCP', 80);
      await translate('prerouting', `tcp dport ${PUBLISHED}`, `${INSIDE}:80`);
      await store(hostEndpoint('n1', 'all', { interfaceName: '*' }));
      expect(await verdict(fromStranger(NODE.ip, PUBLISHED))).toBe('allowed');
    });
  });

  it('make flows of an untracked policy untracked, but for failsafe ports', async () => {
    const ports = [22, 7300];
    const both = [toPorts('Allow', 'TCP', ...ports), { action: 'Allow', protocol: 'TCP', source: { ports } }];
    bed.servers.add(host.namespace, NODE.ip, 'TCP', 7300);
    await store(
      ETH0,
      hostPolicy('untracked', { doNotTrack: true, applyOnForward: true, ingress: both, egress: both }),
    );
    await host.namespace.exec('conntrack', '-F');
    for (const port of ports) expect(await verdict(fromStranger(NODE.ip, port))).toBe('allowed');
    const entries = await host.namespace.exec('conntrack', '-L', '-p', 'tcp');
    expect(ports.map((port) => entries.includes(`dport=${port} `))).toEqual([true, false]);
    const live = await liveFlow(fromStranger(NODE.ip, 7300));
    await store(ETH0);
    live.drain();
    expect(Array.from({ length: ROUNDS }, () => isAnswering(live, bed.servers))).not.toContain(true);
  });

  it('police IPv6 as IPv4, and let neighbours be found', async () => {
    const [mine, theirs] = ['fd00:9::11', 'fd00:9::9'];
    const stranger = bed.namespaceOf('external:stranger');
    await host.namespace.ip(`addr replace ${mine}/64 dev eth0 nodad`);
    await stranger.ip(`addr replace ${theirs}/64 dev eth0 nodad`);
    for (const port of [22, 80, 81]) bed.servers.add(host.namespace, mine, 'TCP', port);
    bed.servers.add(stranger, theirs, 'TCP', 80);
    const inwards = (port: number): Probe => probe('external:stranger', theirs, mine, port);
    await store(
      ETH0,
      IN_80,
      felixConfiguration({ failsafeInboundHostPorts: [{ protocol: 'tcp', port: 81, net: 'fd00:9::/64' }] }),
    );
    expect([await verdict(inwards(80)), await verdict(inwards(22)), await verdict(inwards(81))]).toEqual([
      'allowed',
      'denied',
      'allowed',
    ]);
    expect(await verdict(probe('node:n1', mine, theirs, 80))).toBe('denied');
    await store(
      ETH0,
      hostPolicy('pre', {
        preDNAT: true,
        applyOnForward: true,
        ingress: [{ action: 'Deny', source: { nets: ['fd00:9::/64'] } }, ALLOW_ALL],
      }),
    );
    expect([await verdict(inwards(80)), await verdict(fromStranger(NODE.ip, 80))]).toEqual([
      'denied',
      'allowed',
    ]);
  });

  it('let neighbours be found past an untracked policy that denies all', async () => {
    const [mine, theirs] = ['fd00:8::11', 'fd00:8::9'];
    const stranger = bed.namespaceOf('external:stranger');
    await host.namespace.ip(`addr replace ${mine}/64 dev eth0 nodad`);
    await stranger.ip(`addr replace ${theirs}/64 dev eth0 nodad`);
    await store(
      ETH0,
      hostPolicy('raw', { doNotTrack: true, applyOnForward: true, ingress: [{ action: 'Deny' }] }),
    );
    await stranger.exec('sh', '-c', `ping -6 -c 1 -W 1 ${mine} || true`);
    expect(await stranger.exec('ip', 'neigh', 'show', mine)).toMatch(/lladdr/);
  });

  it('let router advertisements, which are never tracked, in by a rule with addresses', async () => {
    const [mine, router] = ['fd00:7::11', 'fe80::99'];
    await host.namespace.ip(`addr replace ${mine}/64 dev eth0 nodad`);
    const stranger = bed.namespaceOf('external:stranger');
    await stranger.ip(`addr replace fd00:7::9/64 dev eth0 nodad`);
    const received = async (): Promise<number> => {
      const counters = await host.namespace.exec('cat', '/proc/net/snmp6');
      return Number(/^Icmp6InRouterAdvertisements\s+(\d+)/m.exec(counters)?.[1]);
    };
    const fd = stranger.inside(() => sys.socket(SocketType.raw, IPPROTO_RAW, '::', 0));
    keep({ close: () => sys.close(fd) });
    const packet: FuzzPacket = {
      number: 1,
      from: 'stranger',
      to: 'n1',
      source: router,
      destination: mine,
      protocol: IpProtocol.icmpv6,
      icmp: { type: 134, code: 0 },
    };
    const advertise = (): boolean => sys.sendTo(fd, rawPacket(packet, 1, 1, 'original'), mine, 0);
    const allowing = (net: string): Resource =>
      hostPolicy('router', {
        ingress: [{ action: 'Allow', protocol: 'ICMPv6', source: { nets: [net] } }],
      });
    await store(ETH0, allowing('fd00::/8'));
    const before = await received();
    await until('the denial is counted', async () => {
      advertise();
      return [...(await host.readDenials()).keys()].some((key) => key.startsWith(`${router} ${mine} 58`));
    });
    expect(await received()).toBe(before);
    await store(ETH0, allowing('fe80::/10'));
    await until('one has come in', async () => {
      advertise();
      return (await received()) > before;
    });
  });

  describe('of interfaces that come and go', () => {
    const fromInside = (inside: Namespace): Probe => ({
      ...fromStranger(INNER, 80),
      from: inside,
      fromAddress: INSIDE,
    });

    it('police one that they name from its first packet', async () => {
      await store(hostEndpoint('n1', 'inner', { interfaceName: 'eth1' }));
      const inside = await connectInside();
      bed.servers.add(host.namespace, INNER, 'TCP', 80);
      expect(await verdict(fromInside(inside))).toBe('denied');
      expect(await verdict(fromStranger(NODE.ip, 80))).toBe('allowed');
    });

    it('find the one that has their address, and leave it when the address does', async () => {
      await store(hostEndpoint('n1', 'inner', { expectedIPs: [INNER] }));
      expect(await inputRules()).not.toContain('in_h');
      const inside = await connectInside();
      bed.servers.add(host.namespace, INNER, 'TCP', 80);
      await until('the interface is policed', async () =>
        (await inputRules()).includes('iifname "eth1" goto in_h'),
      );
      expect(await verdict(fromInside(inside))).toBe('denied');
      await host.namespace.ip(`addr del ${INNER}/24 dev eth1`, 'addr add 172.31.0.2/24 dev eth1');
      bed.servers.add(host.namespace, '172.31.0.2', 'TCP', 80);
      await until('the interface is left alone', async () => !(await inputRules()).includes('in_h'));
      expect(await verdict({ ...fromInside(inside), to: '172.31.0.2' })).toBe('allowed');
    });
  });

  it('cover the loopback interface when they cover all', async () => {
    const all = hostEndpoint('n1', 'all', { interfaceName: '*' });
    for (const port of [80, 81]) bed.servers.add(host.namespace, '127.0.0.1', 'TCP', port);
    const own = (port: number): Probe => probe('node:n1', '127.0.0.1', '127.0.0.1', port);
    const out = hostPolicy('out', { egress: [ALLOW_ALL] });
    await store(all, out, IN_80);
    expect([await verdict(own(80)), await verdict(own(81))]).toEqual(['allowed', 'denied']);
    const flow = await liveFlow(own(80));
    await store(all, out);
    expect(await isCut(flow, '127.0.0.1 127.0.0.1 6 80')).toBe(true);
    await store(ETH0);
    expect(await verdict(own(81))).toBe('allowed');
  });

  it('stay while the agent starts anew, and go when they are taken away', async () => {
    await store(ETH0, IN_80);
    const flow = await liveFlow(fromStranger(NODE.ip, 80));
    await host.restartAgent();
    await host.dataplane.start();
    bed.renewFeed('n1');
    expect(await keepsAnswering(flow)).toBe(true);
    await store(ETH0, IN_80);
    expect(await keepsAnswering(flow)).toBe(true);
    const before = await denials(`${STRANGER} ${NODE.ip} 17 7100`);
    expect(await bed.probeAllowed(fromStranger(NODE.ip, 7100, 'UDP'), 200)).toBe(false);
    expect(await denials(`${STRANGER} ${NODE.ip} 17 7100`)).toBeGreaterThan(before);
    await store();
    expect(await verdict(fromStranger(NODE.ip, 7100, 'UDP'))).toBe('allowed');
    expect(await inputRules()).not.toContain('in_h');
  });

  it('say what of them nothing enforces', async () => {
    host.events.length = 0;
    const untracked = hostPolicy('untracked', {
      doNotTrack: true,
      applyOnForward: true,
      ingress: [DENY_ALL],
    });
    await store(
      hostEndpoint('n1', 'all', { interfaceName: '*', ...OPEN }),
      hostEndpoint('n1', 'workload', { interfaceName: 'calico0' }),
      untracked,
    );
    const refused = host.events.filter(({ kind }) => kind === 'kernelRefused').map(({ object }) => object);
    expect(refused.sort()).toEqual(['HostEndpoint/all', 'HostEndpoint/workload']);
    expect(await verdict(fromStranger(NODE.ip, 80))).toBe('allowed');
  });
});
