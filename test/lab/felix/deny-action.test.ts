// nftablesFilterDenyAction with real packets: who hears of a denial, that it is counted and told of as ever, and that the setting
// changes without a packet that meets neither (docs/dataplane.md "Denials").

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { FlowRecord } from '../../../lib/protocol/flow-record.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { FlowBed, V3, workloadEndpoint } from './support/flow-bed.ts';
import { DENY_ALL, felixConfiguration, hostEndpoint, hostPolicy, toPorts } from './support/host-policies.ts';
import { IcmpErrors } from './support/icmp-errors.ts';
import type { Namespace } from './support/namespaces.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { type ExpectedFlow, NewFlows } from './support/new-flows.ts';
import { Client, isAnswering, type Probe } from './support/probes.ts';
import { type TestHost, type TestPod, until } from './support/test-host.ts';

const ANSWERED = felixConfiguration({ nftablesFilterDenyAction: 'Reject' });
const PORT_UNREACHABLE = { 4: { type: 3, code: 3 }, 6: { type: 1, code: 4 } } as const;

/** As many as are asked for: the kernel sends one end a few at once, then one a second. */
async function unlimited(host: Namespace): Promise<void> {
  const set = 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit';
  await host.exec('sh', '-c', set);
}

describe('a denied packet of a workload', () => {
  const CLIENT = ['10.80.0.2', 'fd00:80::2'] as const;
  const SERVER = ['10.80.0.3', 'fd00:80::3'] as const;
  const policy = (name: string, spec: object): Resource => ({
    apiVersion: V3,
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'red' },
    spec: { tier: 'default', ...spec },
  });
  const OPEN = policy('open', {
    order: 1000,
    selector: "app == 'client'",
    types: ['Egress'],
    egress: [{ action: 'Deny', protocol: 'TCP', destination: { ports: [99] } }, { action: 'Allow' }],
  });
  const GUARD = policy('guard', {
    selector: "app == 'server'",
    types: ['Ingress'],
    ingress: [
      { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
      { action: 'Deny', protocol: 'TCP' },
    ],
  });
  const RESOURCES = [workloadEndpoint('client', CLIENT), workloadEndpoint('server', SERVER), OPEN, GUARD];

  let folder: string;
  let bed: FlowBed;
  let client: TestPod;
  let errors: IcmpErrors;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ct-deny-'));
    bed = await FlowBed.create(folder);
    await unlimited(bed.host.namespace);
    client = await bed.addPod('client', CLIENT);
    const server = await bed.addPod('server', SERVER);
    bed.servers.add(server.namespace, SERVER[0], 'TCP', 80);
  });
  afterAll(async () => {
    await bed?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    errors = new IcmpErrors(client.namespace);
  });
  afterEach(() => errors?.close());

  /** Of one flow: a connection of an earlier test that was dropped without a word goes on trying. */
  const errorsAbout = (about: string): readonly object[] =>
    errors.seen.flatMap(({ about: flow, ...error }) => (flow === about ? [error] : []));
  let nextPort = 20_000;
  const send = (protocol: 'TCP' | 'UDP' | 'ICMP', family: 4 | 6, port = nextPort++, to?: string): Client => {
    const index = family === 4 ? 0 : 1;
    const ends = { from: client.namespace, fromAddress: CLIENT[index], to: to ?? SERVER[index] };
    return bed.send({ ...ends, protocol, ...(protocol === 'ICMP' ? {} : { port }) });
  };
  /** What a record says but for the moment, how often TCP has tried by then, and the port, by which it was found. */
  const recordOf = async (port: number): Promise<Partial<FlowRecord>> => {
    const record = await bed.recordOf(`record of port ${port}`, (each) => each.destination.port === port);
    const { time: _time, seq: _seq, packets: _packets, bytes: _bytes, source, destination, ...rest } = record;
    const { port: _source, ...from } = source;
    const { port: _destination, ...to } = destination;
    return { ...rest, source: from, destination: to };
  };

  it.each([
    ['TCP', 4, 6],
    ['TCP', 6, 6],
    ['UDP', 4, 17],
    ['UDP', 6, 17],
  ] as const)(
    'is told of with Reject, %s over IPv%d, and recorded as with Drop',
    async (protocol, family, number) => {
      const aboutPort = (port: number): string => `${SERVER[family === 4 ? 0 : 1]} ${number} ${port}`;
      await bed.store(RESOURCES);
      const silent = nextPort;
      const unheard = send(protocol, family);
      const dropped = await recordOf(silent);
      expect(dropped).toMatchObject({ verdict: 'deny', protocol: number, connections: 1 });
      expect(errorsAbout(aboutPort(silent))).toEqual([]);
      expect(unheard.isRefused).toBe(false);

      await bed.store([...RESOURCES, ANSWERED]);
      const port = nextPort;
      const refused = send(protocol, family);
      // Sending, denying and answering are one run of the kernel's: there is nothing to wait for.
      expect(errorsAbout(aboutPort(port))).toEqual([PORT_UNREACHABLE[family]]);
      if (protocol === 'TCP') expect(refused.isRefused).toBe(true);
      expect(await recordOf(port)).toEqual(dropped);
    },
  );

  it('is told of where its own egress policy denies, to the host too', async () => {
    await bed.store([...RESOURCES, ANSWERED]);
    expect([send('TCP', 4, 99).isRefused, send('TCP', 4, 99, bed.host.address).isRefused]).toEqual([
      true,
      true,
    ]);
    for (const to of [SERVER[0], bed.host.address])
      expect(errorsAbout(`${to} 6 99`)).toEqual([PORT_UNREACHABLE[4]]);
  });

  it('an echo request’s is told of as well, and what is allowed passes', async () => {
    await bed.store([...RESOURCES, ANSWERED]);
    send('ICMP', 4);
    send('ICMP', 6);
    expect(errorsAbout(`${SERVER[0]} 1`)).toEqual([PORT_UNREACHABLE[4]]);
    expect(errorsAbout(`${SERVER[1]} 58`)).toEqual([PORT_UNREACHABLE[6]]);
    const allowed = send('TCP', 4, 80);
    await until('an answer', () => isAnswering(allowed, bed.servers));
  });

  it('is dropped without a word where no policy denies: to its host, from an address that is not its own', async () => {
    await bed.store([...RESOURCES, ANSWERED]);
    await client.namespace.ip('addr add 10.80.9.9/32 dev eth0');
    const [toHost, forged] = [nextPort++, nextPort++];
    send('TCP', 4, toHost, bed.host.address);
    bed.send({
      from: client.namespace,
      fromAddress: '10.80.9.9',
      to: SERVER[0],
      protocol: 'TCP',
      port: forged,
    });
    expect(await recordOf(toHost)).toMatchObject({ decidedBy: { reason: 'workloadToHost' } });
    expect(await recordOf(forged)).toMatchObject({ decidedBy: { reason: 'spoofedSource' } });
    expect(errorsAbout(`${bed.host.address} 6 ${toHost}`)).toEqual([]);
    expect(errorsAbout(`${SERVER[0]} 6 ${forged}`)).toEqual([]);
  });
});

describe('a host with policy of its own', () => {
  const PORTS = [80, 81].map((port) => ({ port, protocol: 'TCP' as const }));
  const UDP = [{ port: 7100, protocol: 'UDP' as const }];
  const NODE = { name: 'n1', ip: '172.30.0.11', ports: [...PORTS, ...UDP] };
  const STRANGER = '198.18.9.9';
  const SERVER = '10.80.0.3';
  const CASE: NetpolCase = {
    id: 'deny-action',
    title: 'deny action',
    cluster: {
      podCIDR: '10.80.0.0/24',
      nodes: [NODE],
      externals: [{ name: 'stranger', ip: STRANGER, ports: PORTS }],
      namespaces: [{ name: 'red' }],
      pods: [{ namespace: 'red', name: 'server', node: 'n1', ip: SERVER, ports: [...PORTS, ...UDP] }],
    },
    steps: [],
  };
  const ETH0 = hostEndpoint('n1', 'eth0', { interfaceName: 'eth0' });

  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  const opened: { close(): void }[] = [];
  const keep = <Thing extends { close(): void }>(thing: Thing): Thing => {
    opened.push(thing);
    return thing;
  };
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE]);
    host = bed.host('n1');
    await unlimited(host.namespace);
  });
  beforeEach(async () => {
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await host.namespace.exec('sh', '-c', 'nft delete table ip foreign 2>/dev/null; true');
    await bed.end();
  });
  afterAll(() => bed?.close());

  const store = (...objects: readonly Resource[]): Promise<void> =>
    bed.settleResources([...world.resources(), ANSWERED, ...objects]);
  const ask = (flow: Omit<Probe, 'name' | 'from'> & { readonly from: string }): Client => {
    const client = keep(new Client({ ...flow, name: '', from: bed.namespaceOf(flow.from) }));
    if (flow.protocol !== 'TCP') client.ask();
    return client;
  };
  const fromStranger = (to: string, port: number): Client =>
    ask({ from: 'external:stranger', fromAddress: STRANGER, to, protocol: 'TCP', port });
  const fromHost = (port: number): Client =>
    ask({ from: 'node:n1', fromAddress: NODE.ip, to: STRANGER, protocol: 'TCP', port });
  const denials = async (key: string): Promise<number> => (await host.readDenials()).get(key) ?? 0;

  it('answers others, itself, and those whose traffic it forwards', async () => {
    const denied = toPorts('Deny', 'TCP', 81);
    const allowed = { action: 'Allow' };
    const rules = { ingress: [denied, allowed], egress: [denied, allowed], types: ['Ingress', 'Egress'] };
    await store(ETH0, hostPolicy('both', rules), hostPolicy('forward', { ...rules, applyOnForward: true }));
    expect([
      fromStranger(NODE.ip, 81).isRefused,
      fromHost(81).isRefused,
      fromStranger(SERVER, 81).isRefused,
    ]).toEqual([true, true, true]);
    for (const flow of [fromStranger(NODE.ip, 80), fromHost(80), fromStranger(SERVER, 80)])
      await until('an answer', () => isAnswering(flow, bed.servers));
  });

  it('answers nothing ahead of conntrack, ahead of DNAT, and behind the DNAT of its own traffic, yet counts it', async () => {
    const errors = keep(new IcmpErrors(bed.namespaceOf('external:stranger')));
    const early = { applyOnForward: true, ingress: [toPorts('Deny', 'TCP', 81)] };
    for (const stage of [{ doNotTrack: true }, { preDNAT: true }]) {
      await store(ETH0, hostPolicy('early', { ...early, ...stage }));
      const before = await denials(`${STRANGER} ${NODE.ip} 6 81`);
      const silent = fromStranger(NODE.ip, 81);
      expect(await denials(`${STRANGER} ${NODE.ip} 6 81`)).toBeGreaterThan(before);
      expect(silent.isRefused).toBe(false);
    }
    await store(ETH0, hostPolicy('out', { types: ['Egress'], egress: [DENY_ALL] }));
    await host.namespace.exec(
      'nft',
      `table ip foreign { chain c { type nat hook output priority -100; ip daddr 192.0.2.1 dnat to ${STRANGER}; }; }`,
    );
    await host.namespace.ip(`route replace 192.0.2.1/32 via ${STRANGER} onlink dev eth0`);
    const before = await denials(`${NODE.ip} ${STRANGER} 6 80`);
    const translated = ask({
      from: 'node:n1',
      fromAddress: NODE.ip,
      to: '192.0.2.1',
      protocol: 'TCP',
      port: 80,
    });
    expect(await denials(`${NODE.ip} ${STRANGER} 6 80`)).toBeGreaterThan(before);
    expect(translated.isRefused).toBe(false);
    expect(fromHost(80).isRefused).toBe(true);
    expect(errors.seen).toEqual([]);
  });

  it('lets its answer about a flow that was revoked out past its own policy', async () => {
    const udp = toPorts('Allow', 'UDP', 7100);
    await store(ETH0, hostPolicy('in', { ingress: [udp] }));
    const errors = keep(new IcmpErrors(bed.namespaceOf('external:stranger')));
    const flow = ask({
      from: 'external:stranger',
      fromAddress: STRANGER,
      to: NODE.ip,
      protocol: 'UDP',
      port: 7100,
    });
    await until('an answer', () => isAnswering(flow, bed.servers));
    expect(errors.seen).toEqual([]);
    await store(ETH0, hostPolicy('in', { ingress: [] }));
    expect(isAnswering(flow, bed.servers)).toBe(false);
    await until('an error', () => {
      flow.ask();
      return errors.seen.length > 0;
    });
    expect(errors.seen[0]).toEqual({ ...PORT_UNREACHABLE[4], about: `${NODE.ip} 17 7100` });
  });

  it('changes from one to the other and back under new and live flows: none is lost, none let through', async () => {
    const udp = toPorts('Allow', 'UDP', 7100);
    const rules = [ETH0, hostPolicy('in', { ingress: [udp] })];
    const guard: Resource = {
      apiVersion: V3,
      kind: 'NetworkPolicy',
      metadata: { name: 'guard', namespace: 'red' },
      spec: { types: ['Ingress'], ingress: [udp] },
    };
    const objects = [...world.resources(), ...rules, guard];
    await bed.settleResources(objects);
    const live = ask({
      from: 'external:stranger',
      fromAddress: STRANGER,
      to: SERVER,
      protocol: 'UDP',
      port: 7100,
    });
    await until('an answer', () => isAnswering(live, bed.servers));
    const kinds = [NODE.ip, SERVER].flatMap((to): ExpectedFlow[] =>
      [true, false].map((isAllowed) => {
        const port = isAllowed ? 7100 : 7101;
        return { from: 'external:stranger', fromAddress: STRANGER, to, port, isAllowed };
      }),
    );
    const flows = new NewFlows(bed);
    bed.servers.add(host.namespace, NODE.ip, 'UDP', 7101);
    bed.servers.add(bed.namespaceOf('red/server'), SERVER, 'UDP', 7101);
    for (const isAnswered of [true, false, true, false]) {
      await flows.during(bed.settleResources(isAnswered ? [...objects, ANSWERED] : objects), kinds);
      expect(isAnswering(live, bed.servers)).toBe(true);
    }
    process.stdout.write(`${JSON.stringify(flows.counts)}\n`);
    expect(flows.counts).toMatchObject({ lost: 0, letThrough: 0 });
    expect(flows.counts.answered).toBeGreaterThan(50);
  });
});
