// Changes of every kind under a continuous probe of new and live flows on one host: random ones, a full reload, an agent's restart, a
// resync after another's write, a writer that is killed; generations and identities until their numbers come round.

import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../../lib/policy/cluster.ts';
import { drawChange, drawCluster } from '../../../support/policy-fuzz/cluster.ts';
import { Draw } from '../../../support/policy-fuzz/draw.ts';
import { expectationOf } from '../../../support/policy-fuzz/expectation.ts';
import { type FuzzPacket, Proto } from '../../../support/policy-fuzz/packets.ts';
import { rawPacket } from '../../../support/policy-fuzz/raw-packet.ts';
import { ENDS, OUTSIDE } from '../../../support/policy-fuzz/world.ts';
import { PRIORITY_SCRATCH } from './calc-feed.ts';
import type { ProbedFlow } from './flow-probe.ts';
import { FlowProber, type ProbeReport } from './flow-prober.ts';

import { FuzzBed } from './fuzz-bed.ts';
import { hostEndpoint, hostPolicy } from './host-policies.ts';
import type { Namespace } from './namespaces.ts';
import { PacketEnd } from './packet-end.ts';
import { type TestDataplaneOptions, type TestHost, until } from './test-host.ts';

/** The host whose policy changes; flows do not touch the other's, as two hosts do not change at one moment. */
const HOST = 'n1';
const PROBED_ENDS = ['red/a', 'red/e', 'blue/c', 'outside'];
const FIRST_LIVE_PORT = 61_000;
/** Rest between two changes: what is sent in it is judged by one policy alone. */
const REST_MS = 10;
const SETTLING_MS = 1_200;

export interface ChangesReport extends ProbeReport {
  readonly changes: Readonly<Record<string, number>>;
}

/** A bed for probes: nothing but the prober listens, and flows that are no longer used are soon forgotten. */
export async function createProbeBed(flowTimeoutSeconds: number): Promise<FuzzBed> {
  const bed = await FuzzBed.create();
  for (const end of bed.ends.values()) end.close();
  bed.ends.clear();
  const { namespace } = bed.host(HOST);
  for (const name of ['nf_conntrack_udp_timeout', 'nf_conntrack_udp_timeout_stream'])
    namespace.setSysctl(`net/netfilter/${name}`, String(flowTimeoutSeconds));
  return bed;
}

/** `timesEach`, odd: a change of one object goes there and back so often, as what is wrong for microseconds only is seldom met. */
export async function probeRandomChanges(
  bed: FuzzBed,
  options: { readonly seed: number; readonly changes: number; readonly timesEach?: number },
): Promise<ChangesReport> {
  const { timesEach = 1 } = options;
  const draw = new Draw(options.seed);
  let resources = tracked(drawCluster(draw));
  await bed.load(resources, false);
  const flows = everyPair();
  const changes: Record<string, number> = {};
  const prober = await FlowProber.start(namespacesOf(bed), flows, allowedOf(resources, flows));
  try {
    for (let index = 0; index < options.changes; index++) {
      const kind = CHANGES[index % CHANGES.length] ?? 'change';
      const changed = tracked(kind === 'newCluster' ? drawCluster(draw) : drawChange(draw, resources));
      const before = resources;
      if (kind !== 'restart' && kind !== 'resync') resources = changed;
      changes[kind] = (changes[kind] ?? 0) + 1;
      const times = kind === 'change' ? timesEach : 1;
      for (let time = 0; time < times; time++) {
        const now = time % 2 === 0 ? resources : before;
        await prober.during(`${index}.${time} ${kind}`, allowedOf(now, flows), () => perform(bed, kind, now));
        await delay(REST_MS);
      }
    }
    return { ...(await prober.stop()), changes };
  } finally {
    prober.close();
  }
}

type ChangeKind = 'change' | 'newCluster' | 'reload' | 'restart' | 'resync' | 'scratch' | 'writerKilled';
/** In turn; each of the rarer ones once in twenty. */
const CHANGES: readonly ChangeKind[] = Array.from({ length: 20 }, (_, index) => {
  const rare: Readonly<Record<number, ChangeKind>> = {
    3: 'newCluster',
    5: 'scratch',
    7: 'reload',
    11: 'writerKilled',
    15: 'restart',
    19: 'resync',
  };
  return rare[index] ?? 'change';
});

async function perform(bed: FuzzBed, kind: ChangeKind, resources: readonly Resource[]): Promise<void> {
  const host = bed.host(HOST);
  const { table } = host.dataplane;
  if (kind === 'restart') {
    await bed.restart(HOST, resources);
  } else if (kind === 'resync') {
    const { epoch } = table;
    // Nobody's address: no verdict depends on it.
    await host.namespace.exec('nft', `add element inet calico nodes4_v${epoch} { 192.0.2.99 }`);
    await until(
      'the table is made anew',
      () => table.epoch > epoch && host.dataplane.lastError === undefined,
    );
    await bed.loadOn(HOST, resources);
  } else {
    if (kind === 'reload') table.replace('reload');
    // From the packet mark to the priority, or back.
    if (kind === 'scratch') bed.settings = bed.settings === PRIORITY_SCRATCH ? {} : PRIORITY_SCRATCH;
    const loading = bed.loadOn(HOST, resources);
    if (kind === 'writerKilled') await killWriter(host);
    await loading;
  }
}

/** Somewhere in the change that is under way: what it had done then is unknown. */
async function killWriter(host: TestHost): Promise<void> {
  const { pid } = host.writer;
  await new Promise((resolve) => setImmediate(resolve));
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}

/** Every pair of ends, a live flow and new ones each, both families and three ports in turn. */
function everyPair(): ProbedFlow[] {
  const ends = ENDS.filter(({ name }) => PROBED_ENDS.includes(name));
  const pairs = ends.flatMap((from) => ends.filter((to) => to !== from).map((to) => [from, to] as const));
  return pairs.flatMap(([from, to], index) => {
    const [source, destination] = index % 2 === 0 ? [from.v4[0], to.v4[0]] : [from.v6[0], to.v6[0]];
    const ends = { from: from.name, to: to.name, source: source ?? '', destination: destination ?? '' };
    return bothKinds({ ...ends, destinationPort: [53, 80, 8050][index % 3] ?? 53 }, index);
  });
}

type FlowEnds = Pick<FuzzPacket, 'from' | 'to' | 'source' | 'destination' | 'destinationPort'>;

function bothKinds(ends: FlowEnds, index: number): ProbedFlow[] {
  const packet: FuzzPacket = {
    ...ends,
    number: index,
    protocol: Proto.udp,
    sourcePort: FIRST_LIVE_PORT + index,
  };
  return [true, false].map((isLive) => ({ packet, isLive }));
}

function allowedOf(resources: readonly Resource[], flows: readonly ProbedFlow[]): boolean[] {
  const cluster = resolveCluster(resources);
  return flows.map(({ packet }) => expectationOf(cluster, packet)?.isAllowed === true);
}

/** Without policies that let packets past their flows: each of those would be judged by itself. */
function tracked(resources: readonly Resource[]): readonly Resource[] {
  return resources.filter(({ spec }) => (spec as { doNotTrack?: boolean } | undefined)?.doNotTrack !== true);
}

function namespacesOf(bed: FuzzBed): ReadonlyMap<string, Namespace> {
  return new Map([...bed.namespaces].filter(([name]) => PROBED_ENDS.includes(name)));
}

/** Workloads whose profiles allow everything; nothing else that decides. */
function plainCluster(): Resource[] {
  return drawCluster(new Draw(1)).flatMap((each) => {
    const { kind, metadata } = each;
    if (kind === 'Node' || kind === 'Tier' || (kind === 'Profile' && metadata.name.startsWith('kns.')))
      return [each];
    if (kind !== 'WorkloadEndpoint') return [];
    return [{ ...each, spec: { ...(each['spec'] as object), profiles: [`kns.${metadata.namespace}`] } }];
  });
}

/** Of the server, `blue/c`. */
function serverPolicy(ingress: readonly object[]): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'NetworkPolicy',
    metadata: { name: 'server', namespace: 'blue' },
    spec: { types: ['Ingress'], ingress },
  };
}

const allowUdp = (ports: readonly number[]): object => ({
  action: 'Allow',
  protocol: 'UDP',
  destination: { ports },
});
const SERVER = { to: 'blue/c', destination: '10.80.0.4' } as const;
const CLIENT = { from: 'red/a', source: '10.80.0.2' } as const;

/**
 * A workload's own policy gives way to that of a host endpoint for what is forwarded, which is known by an address alone: both deny,
 * and the kernel is asked in between which interface has the address. With each change staged policies replace others, which the
 * dataplane is told by itself.
 */
export async function probeHostEndpointByAddress(bed: FuzzBed, changes: number): Promise<ProbeReport> {
  const denyUdp = { types: ['Ingress'], ingress: [{ action: 'Deny', protocol: 'UDP' }] };
  const replaced = hostPolicy('replaced', { types: ['Ingress'], selector: "role == 'nobody'" });
  const byWorkload = [...plainCluster(), serverPolicy([])];
  const byHost = [
    ...plainCluster(),
    hostEndpoint(HOST, 'by-address', { expectedIPs: ['172.30.0.11'] }),
    hostPolicy('forwarded', { ...denyUdp, applyOnForward: true }),
    replaced,
    { ...replaced, kind: 'StagedGlobalNetworkPolicy' },
  ];
  await bed.load(byWorkload, false);
  const flows = bothKinds({ from: 'outside', source: OUTSIDE.v4[0], ...SERVER, destinationPort: 53 }, 0);
  const prober = await FlowProber.start(namespacesOf(bed), flows, allowedOf(byWorkload, flows));
  try {
    for (let change = 0; change < changes; change++) {
      const now = change % 2 === 0 ? byHost : byWorkload;
      await prober.during(`change ${change}`, allowedOf(now, flows), () => bed.loadOn(HOST, now));
      await delay(REST_MS);
    }
    return await prober.stop();
  } finally {
    prober.close();
  }
}

/** A rule names now one network, now another; the server's client is in both. */
export async function probeNamedNetworks(bed: FuzzBed, changes: number): Promise<ProbeReport> {
  const ports = Array.from({ length: 16 }, (_, index) => 53 + index);
  const naming = (net: string): Resource[] => [
    ...plainCluster(),
    serverPolicy([{ ...allowUdp(ports), source: { nets: [net] } }]),
  ];
  const wide = naming('10.80.0.0/16');
  const narrow = naming('10.80.0.0/25');
  await bed.load(wide, false);
  const flows = ports.flatMap((destinationPort, index) =>
    bothKinds({ ...CLIENT, ...SERVER, destinationPort }, index),
  );
  const allows = allowedOf(wide, flows);
  const prober = await FlowProber.start(namespacesOf(bed), flows, allows);
  try {
    for (let change = 0; change < changes; change++) {
      const now = change % 2 === 0 ? narrow : wide;
      await prober.during(`change ${change}`, allows, () => bed.loadOn(HOST, now));
      // What is named no more lingers for a second, unless something else comes.
      if (change % 30 === 29) await delay(SETTLING_MS);
    }
    return await prober.stop();
  } finally {
    prober.close();
  }
}

/**
 * What opens is now the client's policy, now the server's; all else is shut. Both get other groups at once, and a packet that met
 * the old group of one and the new group of the other would pass.
 */
export async function probeBothEnds(bed: FuzzBed, changes: number): Promise<ProbeReport> {
  const policy = (name: string, action: string, order: number, namespaceSelector: string): Resource =>
    hostPolicy(name, {
      order,
      selector: 'all()',
      namespaceSelector,
      types: ['Ingress', 'Egress'],
      ingress: [{ action }],
      egress: [{ action }],
    });
  const openIn = (namespace: string): Resource[] => [
    ...plainCluster(),
    policy('shut', 'Deny', 20, 'all()'),
    policy('open', 'Allow', 10, `projectcalico.org/name == '${namespace}'`),
  ];
  const [atClient, atServer] = [openIn('red'), openIn('blue')];
  await bed.load(atClient, false);
  const flows = Array.from({ length: 16 }, (_, index) => index).flatMap((index) => {
    const back = { from: SERVER.to, source: SERVER.destination, to: CLIENT.from, destination: CLIENT.source };
    const ends = index % 2 === 0 ? { ...CLIENT, ...SERVER } : back;
    return bothKinds({ ...ends, destinationPort: 53 + index }, index);
  });
  const allows = allowedOf(atClient, flows);
  const prober = await FlowProber.start(namespacesOf(bed), flows, allows);
  try {
    for (let change = 0; change < changes; change++) {
      const now = change % 2 === 0 ? atServer : atClient;
      await prober.during(`change ${change}`, allowedOf(now, flows), () => bed.loadOn(HOST, now));
      // The copy that was asked before follows after a second, unless it is asked again.
      if (change % 50 === 49) await delay(SETTLING_MS);
    }
    return await prober.stop();
  } finally {
    prober.close();
  }
}

export interface GenerationsReport extends ProbeReport {
  /** How often the number of the generation was lower than the one before. */
  readonly rounds: number;
  readonly generations: number;
  /** Revoked flows that stayed idle, and packets of them under the very number that they had been stamped with. */
  readonly idleFlows: number;
  readonly idlePacketsAtTheirGeneration: number;
  /** What the receiving kernel has counted of idle flows: one packet each, sent before they were revoked. */
  readonly idleCounted: number;
}

const FIRST_IDLE_PORT = 7_000;
const CHANGES_PER_IDLE_FLOW = 10;
const IDLE_COUNTER = `table inet idle
delete table inet idle
table inet idle {
  counter passed { }
  chain prerouting { type filter hook prerouting priority -500; policy accept; udp dport ${FIRST_IDLE_PORT}-9999 counter name passed; }
}`;

/** Each change revokes a port, which moves the generation; flows that were let through and revoked wait until their number is back. */
export async function probeGenerations(
  bed: FuzzBed,
  options: { readonly changes: number } & TestDataplaneOptions,
): Promise<GenerationsReport> {
  const base = plainCluster();
  const withPorts = (...ports: readonly number[]): Resource[] => [...base, serverPolicy([allowUdp(ports)])];
  await bed.load(withPorts(53), false);
  await bed.restart(HOST, withPorts(53), options);
  const flows = [53, 54].flatMap((destinationPort, index) => [
    ...bothKinds({ ...CLIENT, ...SERVER, destinationPort }, 2 * index),
    ...bothKinds({ from: 'outside', source: OUTSIDE.v4[0], ...SERVER, destinationPort }, 2 * index + 1),
  ]);
  const allows = allowedOf(withPorts(53), flows);
  const idle = await IdleFlows.create(bed);
  const { table } = bed.host(HOST).dataplane;
  const counts = { rounds: 0, generations: 0 };
  const prober = await FlowProber.start(namespacesOf(bed), flows, allows);
  try {
    for (let change = 0; change < options.changes; change++) {
      const opens = change % CHANGES_PER_IDLE_FLOW === 0;
      const before = table.generation;
      const port = opens ? idle.nextPort : 40_000 + (change % 2_000);
      await prober.during(`change ${change}`, allows, () => bed.loadOn(HOST, withPorts(53, port)));
      if (table.generation !== before) counts.generations++;
      if (table.generation < before) counts.rounds++;
      idle.ask(table.generation);
      if (opens) await idle.open(table.generation);
    }
    await bed.loadOn(HOST, withPorts(53));
    idle.askAll();
    const report = await prober.stop();
    return {
      ...report,
      ...counts,
      // Those of the idle flows went by the same counter.
      countedByKernel: report.countedByKernel - idle.opened,
      idleFlows: idle.opened,
      idlePacketsAtTheirGeneration: idle.packetsAtTheirGeneration,
      idleCounted: await idle.counted(),
    };
  } finally {
    prober.close();
    idle.close();
  }
}

/** Flows of one packet each, which the policy allowed when it was sent. */
class IdleFlows {
  packetsAtTheirGeneration = 0;
  readonly #bed: FuzzBed;
  readonly #end: PacketEnd;
  /** Generation that each flow was stamped with; its port is its place. */
  readonly #generations: number[] = [];

  private constructor(bed: FuzzBed, end: PacketEnd) {
    this.#bed = bed;
    this.#end = end;
  }

  static async create(bed: FuzzBed): Promise<IdleFlows> {
    await serverNamespace(bed).exec('nft', IDLE_COUNTER);
    const client = bed.namespaces.get(CLIENT.from);
    if (client === undefined) throw new Error('no client');
    return new IdleFlows(bed, await PacketEnd.create(client));
  }

  get opened(): number {
    return this.#generations.length;
  }

  get nextPort(): number {
    return FIRST_IDLE_PORT + this.opened;
  }

  /** The policy allows `nextPort` now, under this generation. */
  async open(generation: number): Promise<void> {
    this.#send(this.opened);
    this.#generations.push(generation);
    await until(
      'the first packet of an idle flow has passed',
      async () => (await this.counted()) === this.opened,
    );
  }

  /** A packet of each flow that carries this very generation, and was revoked since. */
  ask(generation: number): void {
    for (const [flow, stamped] of this.#generations.entries()) {
      if (stamped !== generation) continue;
      this.#send(flow);
      this.packetsAtTheirGeneration++;
    }
  }

  askAll(): void {
    for (const flow of this.#generations.keys()) this.#send(flow);
  }

  async counted(): Promise<number> {
    const text = await serverNamespace(this.#bed).exec('nft', 'list', 'counters', 'table', 'inet', 'idle');
    return Number(/packets (\d+)/.exec(text)?.[1] ?? 0);
  }

  close(): void {
    this.#end.close();
  }

  #send(flow: number): void {
    const ports = { sourcePort: 62_000, destinationPort: FIRST_IDLE_PORT + flow };
    const packet: FuzzPacket = { number: flow, ...CLIENT, ...SERVER, ...ports, protocol: Proto.udp };
    // Above every number of the prober.
    const id = 0x80000000 + flow;
    if (!this.#end.send(rawPacket(packet, id, id, 'original'), packet.destination))
      throw new Error('a packet of an idle flow was not sent');
  }
}

function serverNamespace(bed: FuzzBed): Namespace {
  const namespace = bed.namespaces.get(SERVER.to);
  if (namespace === undefined) throw new Error('no server');
  return namespace;
}

export interface IdentitiesReport extends ProbeReport {
  readonly identities: number;
  /** How often a number space was used up. */
  readonly timesUsedUp: number;
}

/** Network sets that are denied get other labels again and again: each time another identity each. */
export async function probeIdentities(
  bed: FuzzBed,
  options: { readonly rounds: number; readonly sets: number } & TestDataplaneOptions,
): Promise<IdentitiesReport> {
  const [blocked, ...others] = OUTSIDE.v4;
  const base = [
    ...plainCluster(),
    serverPolicy([
      { action: 'Deny', source: { selector: "list == 'blocked'", namespaceSelector: 'global()' } },
      allowUdp([53]),
    ]),
  ];
  const setOf = (index: number, round: number): Resource => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkSet',
    metadata: { name: `set-${index}`, labels: { list: 'blocked', set: `s${index}`, round: `r${round}` } },
    spec: { nets: [index === 0 ? `${blocked}/32` : `198.19.${index >> 8}.${index & 255}/32`] },
  });
  const atRound = (round: number): Resource[] => [
    ...base,
    ...Array.from({ length: options.sets }, (_, index) => setOf(index, round)),
  ];
  const host = bed.host(HOST);
  await bed.load(atRound(0), false);
  await bed.restart(HOST, atRound(0), options);
  const flows = [CLIENT, ...[blocked, ...others].map((source) => ({ from: 'outside', source }))].flatMap(
    (from, index) => bothKinds({ ...from, ...SERVER, destinationPort: 53 }, index),
  );
  const allows = allowedOf(atRound(0), flows);
  host.events.length = 0;
  const prober = await FlowProber.start(namespacesOf(bed), flows, allows);
  try {
    for (let round = 1; round <= options.rounds; round++)
      await prober.during(`round ${round}`, allows, () => bed.loadOn(HOST, atRound(round)));
    const report = await prober.stop();
    const timesUsedUp = host.events.filter(
      (event) => event.kind === 'kernelResynced' && event.cause === 'numbers used up',
    ).length;
    return { ...report, identities: options.rounds * options.sets, timesUsedUp };
  } finally {
    prober.close();
  }
}
