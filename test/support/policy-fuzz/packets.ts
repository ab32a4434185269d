// Random packets between the ends of the world, chosen so that each reason for a verdict is met about as often as any other: left to
// chance nearly all would end at a tier's default.

import type { Resource } from '../../../lib/model/metadata.ts';
import { parseNumberOrName, parsePort, protocolNumber } from '../../../lib/model/numbers.ts';
import type { EntityRule, Rule } from '../../../lib/model/policy-types.ts';
import type { PolicyCluster } from '../../../lib/policy/cluster.ts';
import {
  type CompiledEntity,
  type CompiledRule,
  type Direction,
  type EndpointTier,
  type PortRange,
  policyKey,
} from '../../../lib/policy/compiled.ts';
import { firstMismatch } from '../../../lib/policy/evaluation/match.ts';
import { type Packet, viewPacket } from '../../../lib/policy/evaluation/packet.ts';
import type { Draw } from './draw.ts';
import { PORTS, SOURCE_PORTS } from './rules.ts';
import { ENDS, type End } from './world.ts';

export const Proto = { icmp: 1, ipip: 4, tcp: 6, udp: 17, icmpv6: 58, other: 99, sctp: 132 } as const;

export interface FuzzPacket extends Packet {
  /** Its flow's name in the run. */
  readonly number: number;
  /** Names of ends. The source address may be another's: spoofed. */
  readonly from: string;
  readonly to: string;
}

const PORT_PROTOCOLS: readonly number[] = [Proto.tcp, Proto.udp, Proto.sctp];
/** Ports with a meaning of their own: BGP's, VXLAN's, and some that hosts keep open. */
const GUARDED_PORTS = [179, 4789, 22, 53, 67, 68, 2379] as const;
/** Those with which conntrack lets a flow begin. */
const ICMP_REQUESTS = { 4: [8, 8, 8, 13, 17], 6: [128] } as const;
const FIRST_EPHEMERAL_PORT = 20_000;
const EPHEMERAL_PORTS = 40_000;
/** Far more than are ever needed: most pairs of ends will do. */
const MOST_TRIES = 1_000;
/** To hit a rule; the last one of them need not. */
const MOST_AIMS = 12;

/** Protocol, ports and ICMP fields at which a rule's answer may turn. */
interface Hint {
  /** Undefined: any. */
  readonly protocol: number | undefined;
  readonly destinationPorts: readonly number[];
  readonly sourcePorts: readonly number[];
  readonly icmp: readonly { readonly type: number; readonly code: number }[];
}

/** Gives each flow of a run a source port of its own, unless a rule's are asked for. */
export class PacketDraws {
  readonly #draw: Draw;
  #made = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  /** A third of them have ports of a rule of the cluster, or next to them; a third match one, or nearly. */
  candidates(resources: readonly Resource[], cluster: PolicyCluster, count: number): FuzzPacket[] {
    const draw = this.#draw;
    const hints = resources.flatMap(hintsOf);
    const aims = aimsOf(cluster);
    return Array.from({ length: count }, () => {
      if (aims.length > 0 && draw.once(3)) return this.#aimed(cluster, draw.one(draw.one(aims)));
      return this.#next(hints.length > 0 && draw.once(2) ? draw.one(hints) : undefined, this.#ends());
    });
  }

  /** One that the rule matches, if a few tries find one. */
  #aimed(cluster: PolicyCluster, { rule, direction, ends }: Aim): FuzzPacket {
    const draw = this.#draw;
    const hint = hintOfCompiled(rule);
    for (let tries = 1; ; tries++) {
      const own = draw.one(ends);
      const other = draw.one(ENDS.filter((end) => end !== own));
      const packet = this.#next(hint, direction === 'ingress' ? [other, own] : [own, other], rule.ipVersion);
      if (tries === MOST_AIMS || matchesRule(cluster, rule, packet)) return packet;
    }
  }

  #next(
    hint: Hint | undefined,
    [source, destination]: readonly [End, End],
    wantedFamily?: 4 | 6,
  ): FuzzPacket {
    const draw = this.#draw;
    const drawnFamily = wantedFamily ?? (draw.once(2) ? 4 : 6);
    const family = hint?.protocol === Proto.icmp ? 4 : hint?.protocol === Proto.icmpv6 ? 6 : drawnFamily;
    const addresses = {
      source: addressOf(source, family, draw),
      destination: addressOf(destination, family, draw),
    };
    const ends = { number: ++this.#made, from: source.name, to: destination.name, ...addresses };
    const drawn = draw.weighted([
      { weight: 6, protocol: Proto.tcp },
      { weight: 5, protocol: Proto.udp },
      { weight: 2, protocol: Proto.sctp },
      { weight: 3, protocol: family === 4 ? Proto.icmp : Proto.icmpv6 },
      { weight: 1, protocol: family === 4 && draw.once(4) ? Proto.ipip : Proto.other },
    ]).protocol;
    const protocol = hint?.protocol ?? drawn;
    if (protocol === Proto.icmp || protocol === Proto.icmpv6) {
      const drawnIcmp = { type: draw.one(ICMP_REQUESTS[family]), code: draw.below(2) };
      const hints = (hint?.icmp ?? []).filter(({ type }) =>
        ICMP_REQUESTS[family].some((each) => each === type),
      );
      return { ...ends, protocol, icmp: hints.length > 0 ? draw.one(hints) : drawnIcmp };
    }
    if (!PORT_PROTOCOLS.includes(protocol)) return { ...ends, protocol };
    const destinationPort =
      wantedFamily === undefined && draw.once(25)
        ? draw.one(GUARDED_PORTS)
        : this.#port(hint?.destinationPorts, PORTS);
    const sourcePort = draw.once(4) ? this.#port(hint?.sourcePorts, SOURCE_PORTS) : this.#ephemeralPort();
    return this.#spoofed({ ...ends, protocol, sourcePort, destinationPort }, source, family);
  }

  #port(hints: readonly number[] | undefined, others: readonly number[]): number {
    return hints !== undefined && hints.length > 0 ? this.#draw.one(hints) : this.#draw.one(others);
  }

  #ephemeralPort(): number {
    return FIRST_EPHEMERAL_PORT + (this.#made % EPHEMERAL_PORTS);
  }

  /** Two ends, of which one at least is a workload as a rule; seldom a host and itself. */
  #ends(): readonly [End, End] {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const [source, destination] = [this.#draw.one(ENDS), this.#draw.one(ENDS)];
      if (source === destination && !(source.kind === 'host' && this.#draw.once(4))) continue;
      if (source.kind === 'pod' || destination.kind === 'pod' || this.#draw.once(3))
        return [source, destination];
    }
    throw new Error('no two ends');
  }

  /** Seldom, a workload speaks as another. BGP's port is looked at before the source is. */
  #spoofed(packet: FuzzPacket, source: End, family: 4 | 6): FuzzPacket {
    if (source.kind !== 'pod' || packet.destinationPort === 179 || !this.#draw.once(60)) return packet;
    const others = ENDS.filter((end) => end !== source && end.name !== packet.to && end.kind !== 'host');
    return { ...packet, source: addressOf(this.#draw.one(others), family, this.#draw) };
  }
}

/** Of the rules of a policy or profile that are for a protocol with ports, or for ICMP. */
function hintsOf(resource: Resource): Hint[] {
  const { ingress = [], egress = [] } = (resource['spec'] ?? {}) as { ingress?: Rule[]; egress?: Rule[] };
  return [...ingress, ...egress].flatMap(({ protocol, source, destination, icmp, notICMP }) => {
    const number = protocol === undefined ? undefined : protocolNumber(parseNumberOrName(protocol));
    if (number === undefined) return [];
    const fields = [icmp, notICMP].flatMap((each) => (each === undefined ? [] : [each]));
    if (!PORT_PROTOCOLS.includes(number) && fields.length === 0) return [];
    return [
      {
        protocol: number,
        destinationPorts: edgesOf(destination),
        sourcePorts: edgesOf(source),
        icmp: fields.flatMap(({ type = 8, code = 0 }) =>
          [code, code + 1].map((near) => ({ type, code: near })),
        ),
      },
    ];
  });
}

/** A rule that an endpoint asks, and who the endpoint's traffic is of. */
interface Aim {
  readonly rule: CompiledRule;
  readonly direction: Direction;
  readonly ends: readonly End[];
}

/** Those of one policy or profile together, so that a long list of rules does not count for more. */
function aimsOf(cluster: PolicyCluster): readonly (readonly Aim[])[] {
  const aims: Aim[][] = [];
  const add = (tiers: readonly EndpointTier[], profiles: readonly string[], ends: readonly End[]): void => {
    for (const direction of ['ingress', 'egress'] as const) {
      const owners = [
        ...tiers.flatMap((tier) => tier[direction].map((id) => cluster.policies.get(policyKey(id)))),
        ...profiles.map((name) => cluster.profiles.get(name)),
      ];
      for (const owner of owners) {
        const rules = owner?.[direction] ?? [];
        if (rules.length > 0) aims.push(rules.map((rule) => ({ rule, direction, ends })));
      }
    }
  };
  for (const { id, tiers, profiles } of cluster.workloadEndpoints.values())
    add(
      tiers,
      profiles,
      ENDS.filter(({ name }) => name === id.workload),
    );
  for (const { id, tiers, profiles, ...stages } of cluster.hostEndpoints.values()) {
    add(
      tiers,
      profiles,
      ENDS.filter(({ name }) => name === `host:${id.host}`),
    );
    for (const stage of [stages.forwardTiers, stages.preDnatTiers, stages.untrackedTiers])
      add(
        stage,
        [],
        ENDS.filter(({ host }) => host === id.host),
      );
  }
  return aims;
}

function hintOfCompiled({ protocol, icmp, notIcmp, source, destination }: CompiledRule): Hint {
  const fields = [icmp, notIcmp].flatMap((each) => (each === undefined ? [] : [each]));
  return {
    protocol,
    destinationPorts: compiledEdges(destination),
    sourcePorts: compiledEdges(source),
    icmp: fields.flatMap(({ type, code = 0 }) => [code, code + 1].map((near) => ({ type, code: near }))),
  };
}

function compiledEdges({ ports, notPorts }: CompiledEntity): number[] {
  return edgesOfRanges([...ports, ...notPorts]);
}

export function matchesRule(cluster: PolicyCluster, rule: CompiledRule, packet: FuzzPacket): boolean {
  const view = viewPacket(packet, cluster.identities);
  const nobody: ReadonlySet<number> = new Set();
  return firstMismatch(rule, view, (id) => cluster.selectors.get(id)?.identities ?? nobody) === undefined;
}

/** First and last of each range, and their neighbours outside. */
function edgesOf(side: EntityRule | undefined): number[] {
  const ranges = [...(side?.ports ?? []), ...(side?.notPorts ?? [])].map((port) => parsePort(port));
  return edgesOfRanges(ranges.flatMap((range) => ('name' in range ? [] : [range])));
}

function edgesOfRanges(ranges: readonly PortRange[]): number[] {
  return ranges
    .flatMap(({ min, max }) => [min - 1, min, max, max + 1])
    .filter((port) => port > 0 && port < 65_536);
}

function addressOf(end: End, family: 4 | 6, draw: Draw): string {
  return draw.one(family === 4 ? end.v4 : end.v6);
}

/** What conntrack knows a flow by, in either direction: two packets of one key are one flow. */
function flowKey({ source, destination, protocol, sourcePort, destinationPort }: FuzzPacket): string {
  const ends = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`];
  return [protocol, ...ends.sort()].join(' ');
}

/** The first packet of each flow; ICMP packets are all of different ones. */
export function differentFlows(packets: readonly FuzzPacket[]): FuzzPacket[] {
  const flows = new Set<string>();
  return packets.filter((packet) => {
    const flow = flowKey(packet);
    const isNew = packet.icmp !== undefined || !flows.has(flow);
    flows.add(flow);
    return isNew;
  });
}
