// A fuzz case: what is loaded and sent, step by step, from an empty table on. As a file it is a regression (test/data/policy-fuzz).

import type { Resource } from '../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { drawChange, drawCluster } from './cluster.ts';
import { Draw } from './draw.ts';
import { type Expectation, expectationOf } from './expectation.ts';
import { differentFlows, type FuzzPacket, PacketDraws, Proto } from './packets.ts';
import type { FlowPart } from './raw-packet.ts';
import { ENDS } from './world.ts';

export interface FuzzStep {
  /** All that the datastore holds. */
  readonly resources: readonly Resource[];
  /** Whether the table is made anew as a whole. */
  readonly replace: boolean;
  /** Packets of flows that passed in the step before, by their packets' numbers: one each at most. */
  readonly again: readonly { readonly number: number; readonly part: FlowPart }[];
  /** One new flow each. */
  readonly packets: readonly FuzzPacket[];
}

const CANDIDATES = 10;
const MOST_AGAIN = 20;

/** Draws one step after the other: half of the clusters are new, half a small change of the one before. */
export class StepDraws {
  readonly #draw: Draw;
  readonly #packets: PacketDraws;
  readonly #packetsPerStep: number;
  #resources: readonly Resource[] | undefined;

  constructor(seed: number, packetsPerStep: number) {
    this.#draw = new Draw(seed);
    this.#packets = new PacketDraws(this.#draw);
    this.#packetsPerStep = packetsPerStep;
  }

  /** `live` are the flows that passed in the step before. */
  next(live: readonly FuzzPacket[]): FuzzStep {
    const draw = this.#draw;
    const before = this.#resources;
    const resources = before === undefined || draw.once(2) ? drawCluster(draw) : drawChange(draw, before);
    this.#resources = resources;
    return { resources, replace: draw.once(5), again: this.#again(live), packets: this.#new(resources) };
  }

  #again(live: readonly FuzzPacket[]): FuzzStep['again'] {
    if (live.length === 0) return [];
    return this.#draw.few(live, MOST_AGAIN).map((packet) => {
      return { number: packet.number, part: canReply(packet) && this.#draw.once(2) ? 'reply' : 'original' };
    });
  }

  #new(resources: readonly Resource[]): FuzzPacket[] {
    const cluster = resolveCluster(resources);
    const candidates = this.#packets.candidates(resources, cluster, this.#packetsPerStep * CANDIDATES);
    const expectations = new Map(
      candidates.flatMap((packet) => {
        const expectation = expectationOf(cluster, packet);
        return expectation === undefined ? [] : [[packet, expectation] as const];
      }),
    );
    return chosen(expectations, this.#packetsPerStep);
  }
}

/** Packets of one group say the same of a renderer. */
function groupOf(expectation: Expectation | undefined): string {
  const { category = '', stamps = [], denial } = expectation ?? {};
  return `${category} ${denial?.reason ?? stamps.at(-1)?.reason ?? ''}`;
}

/**
 * The first of each group; then in turn one beside another edge of a rule, and one that a rule decides on; then what is left. Flows are
 * all different.
 */
function chosen(expectations: ReadonlyMap<FuzzPacket, Expectation>, count: number): FuzzPacket[] {
  const packets = differentFlows([...expectations.keys()]);
  const groupOfPacket = (packet: FuzzPacket): string => groupOf(expectations.get(packet));
  const firsts = firstOfEach(packets, groupOfPacket);
  const edges = firstOfEach(packets, (packet) => {
    const near = expectations.get(packet)?.near ?? '';
    return near === '' ? undefined : `${groupOfPacket(packet)} ${near}`;
  });
  const decided = inTurn(
    packets.filter((packet) => /^(allow policy|deny rule)/.test(groupOfPacket(packet))),
    groupOfPacket,
  );
  const pairs = Array.from({ length: Math.max(edges.length, decided.length) }, (_, index) =>
    [edges[index], decided[index]].flatMap((packet) => packet ?? []),
  ).flat();
  return [...new Set([...firsts, ...pairs, ...inTurn(packets, groupOfPacket)])].slice(0, count);
}

/** Without those of no key. */
function firstOfEach(
  packets: readonly FuzzPacket[],
  keyOf: (packet: FuzzPacket) => string | undefined,
): FuzzPacket[] {
  const firsts = new Map<string, FuzzPacket>();
  for (const packet of packets) {
    const key = keyOf(packet);
    if (key !== undefined && !firsts.has(key)) firsts.set(key, packet);
  }
  return [...firsts.values()];
}

/** One of each group after the other. */
function inTurn(packets: readonly FuzzPacket[], keyOf: (packet: FuzzPacket) => string): FuzzPacket[] {
  const groups = [...Map.groupBy(packets, keyOf).values()];
  const rows = Math.max(0, ...groups.map(({ length }) => length));
  return Array.from({ length: rows }, (_, row) => groups.flatMap((group) => group[row] ?? [])).flat();
}

/**
 * A host's answer to its own workload is never policed, so it says nothing; SCTP's and other protocols' take more than their flow's
 * number.
 */
function canReply({ protocol, from, to, sourcePort }: FuzzPacket): boolean {
  const isAnswered = [Proto.tcp, Proto.udp, Proto.icmp, Proto.icmpv6].some((each) => each === protocol);
  const [source, destination] = [from, to].map((name) => ENDS.find((end) => end.name === name));
  const isOfHost = source?.kind === 'host' || destination?.kind === 'host';
  // To a host's BGP port no workload answers: it is guarded ahead of conntrack.
  const isToBgp = source?.kind === 'host' && sourcePort === 179;
  return isAnswered && !isToBgp && !(isOfHost && source?.host === destination?.host);
}
