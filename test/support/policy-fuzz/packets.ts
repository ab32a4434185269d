// Random packets between the ends of the world, chosen so that each reason for a verdict is met about as often as any other: left to
// chance nearly all would end at a tier's default.

import type { Resource } from '../../../lib/model/metadata.ts';
import { parseNumberOrName, parsePort, protocolNumber } from '../../../lib/model/numbers.ts';
import type { EntityRule, Rule } from '../../../lib/model/policy-types.ts';
import type { Packet } from '../../../lib/policy/evaluation/packet.ts';
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

/** Protocol, ports and ICMP fields at which a rule's answer may turn. */
interface Hint {
  readonly protocol: number;
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

  /** Half of them have ports of a rule of the cluster, or next to them. */
  candidates(cluster: readonly Resource[], count: number): FuzzPacket[] {
    const hints = cluster.flatMap(hintsOf);
    return Array.from({ length: count }, () =>
      this.#next(hints.length > 0 && this.#draw.once(2) ? this.#draw.one(hints) : undefined),
    );
  }

  #next(hint: Hint | undefined): FuzzPacket {
    const draw = this.#draw;
    const [source, destination] = this.#ends();
    const drawnFamily = draw.once(2) ? 4 : 6;
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
    const destinationPort = draw.once(25)
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

/** First and last of each range, and their neighbours outside. */
function edgesOf(side: EntityRule | undefined): number[] {
  const edges = [...(side?.ports ?? []), ...(side?.notPorts ?? [])].flatMap((port) => {
    const range = parsePort(port);
    return 'name' in range ? [] : [range.min - 1, range.min, range.max, range.max + 1];
  });
  return edges.filter((port) => port > 0 && port < 65_536);
}

function addressOf(end: End, family: 4 | 6, draw: Draw): string {
  return draw.one(family === 4 ? end.v4 : end.v6);
}

/** What conntrack knows a flow by, in either direction: two packets of one key are one flow. */
function flowKey({ source, destination, protocol, sourcePort, destinationPort }: FuzzPacket): string {
  const ends = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`];
  return [protocol, ...ends.sort()].join(' ');
}

/** `count` of the candidates, in turn from each group of equal `keyOf`, flows all different (ICMP packets always are). */
export function spread(
  candidates: readonly FuzzPacket[],
  keyOf: (packet: FuzzPacket) => string,
  count: number,
): FuzzPacket[] {
  const groups = new Map<string, FuzzPacket[]>();
  const flows = new Set<string>();
  for (const packet of candidates) {
    const flow = flowKey(packet);
    if (packet.icmp === undefined && flows.has(flow)) continue;
    flows.add(flow);
    const key = keyOf(packet);
    groups.set(key, [...(groups.get(key) ?? []), packet]);
  }
  const chosen: FuzzPacket[] = [];
  for (let row = 0; chosen.length < count; row++) {
    const layer = [...groups.values()].flatMap((group) => group[row] ?? []);
    if (layer.length === 0) return chosen;
    chosen.push(...layer);
  }
  return chosen.slice(0, count);
}
