// All traffic cut into classes that the given rules cannot tell apart: intervals of ports, ICMP types, protocols. One packet of
// a class stands for all of it (docs/policy.md "Connectivity").

import type { Family } from '../../net/ip.ts';
import type { CompiledRule, Identity, PortRange } from '../compiled.ts';
import { hasPorts, ICMP, ICMP_V6, type PacketFields } from '../question/traffic.ts';

export type TrafficClass =
  | { readonly type: 'ports'; readonly protocol: number; readonly min: number; readonly max: number }
  /** `code` undefined: any other; `icmpType` undefined: any other. */
  | { readonly type: 'icmp'; readonly icmpType: number | undefined; readonly code: number | undefined }
  /** Undefined: any other. */
  | { readonly type: 'protocol'; readonly protocol: number | undefined };

const TCP = 6;
const UDP = 17;
const MAX_PORT = 65_535;
/** BGP to hosts, which workloads may not send whatever policy says. (VXLAN has the port that a host gives it.) */
const GUARDED: readonly Cut[] = [{ protocol: TCP, min: 179, max: 179 }];
/** Reserved for experiments (RFC 3692): nobody's rule is about it. */
const OTHER_PROTOCOLS: readonly number[] = [253, 254, 252, 251, 250];
const ECHO = { 4: [8, 13, 15, 17], 6: [128, 130, 139, 144] } as const;
const OTHER_CODES: readonly number[] = [0, 200, 201, 202, 203];

/** Where the ports of a protocol are cut; of every protocol that has ports, if it is undefined. */
interface Cut extends PortRange {
  readonly protocol: number | undefined;
}

/** What a list of rules tells apart. Made once for a list; combined by `trafficClasses`. */
export interface Distinctions {
  readonly cuts: readonly Cut[];
  readonly portNames: readonly string[];
  readonly icmp: readonly NonNullable<CompiledRule['icmp']>[];
  readonly protocols: readonly number[];
}

export function distinctionsOf(rules: readonly CompiledRule[]): Distinctions {
  const cuts = rules.flatMap(({ protocol, destination }) =>
    [...destination.ports, ...destination.notPorts].map(({ min, max }) => ({ protocol, min, max })),
  );
  const names = rules.flatMap(({ destination }) =>
    [...destination.namedPorts, ...destination.notNamedPorts].map(({ name }) => name),
  );
  return {
    cuts: uniqueBy(cuts, (cut) => `${cut.protocol} ${cut.min} ${cut.max}`),
    portNames: [...new Set(names)],
    icmp: rules.flatMap(({ icmp, notIcmp }) => [icmp, notIcmp].filter((match) => match !== undefined)),
    protocols: [
      ...new Set(
        rules.flatMap(({ protocol, notProtocol }) =>
          [protocol, notProtocol].filter((each) => each !== undefined),
        ),
      ),
    ],
  };
}

/** The classes that all of these together tell apart, for a destination of these identities. */
export function trafficClasses(
  distinctions: readonly Distinctions[],
  destination: readonly Identity[],
): TrafficClass[] {
  const named = new Set(distinctions.flatMap(({ portNames }) => portNames));
  const namedCuts = destination
    .flatMap(({ ports }) => ports)
    .filter(({ name }) => named.has(name))
    .map(({ protocol, port }): Cut => ({ protocol, min: port, max: port }));
  const cuts = [...GUARDED, ...namedCuts, ...distinctions.flatMap((each) => each.cuts)];
  const protocols = new Set(distinctions.flatMap((each) => each.protocols));
  const withPorts = [...new Set([TCP, UDP, ...[...protocols].filter(hasPorts)])];
  const others = [...protocols].filter(
    (protocol) => !hasPorts(protocol) && protocol !== ICMP && protocol !== ICMP_V6,
  );
  return [
    ...withPorts.flatMap((protocol) => portClasses(protocol, cuts)),
    ...icmpClasses(distinctions.flatMap(({ icmp }) => icmp)),
    ...[...others, undefined].map((protocol): TrafficClass => ({ type: 'protocol', protocol })),
  ];
}

function portClasses(protocol: number, cuts: readonly Cut[]): TrafficClass[] {
  const starts = new Set([0]);
  for (const cut of cuts) {
    if (cut.protocol !== undefined && cut.protocol !== protocol) continue;
    starts.add(cut.min);
    if (cut.max < MAX_PORT) starts.add(cut.max + 1);
  }
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((min, index) => ({
    type: 'ports',
    protocol,
    min,
    max: (sorted[index + 1] ?? MAX_PORT + 1) - 1,
  }));
}

function icmpClasses(matches: readonly NonNullable<CompiledRule['icmp']>[]): TrafficClass[] {
  const codesByType = new Map<number, Set<number>>();
  for (const { type, code } of matches) {
    const codes = codesByType.get(type) ?? new Set();
    codesByType.set(type, codes);
    if (code !== undefined) codes.add(code);
  }
  const typed = [...codesByType].flatMap(([icmpType, codes]) =>
    [...codes, undefined].map((code): TrafficClass => ({ type: 'icmp', icmpType, code })),
  );
  return [...typed, { type: 'icmp', icmpType: undefined, code: undefined }];
}

/** A packet of the class in a family. `classes` are all there are, so that what is other is none of them. */
export function packetOf(
  traffic: TrafficClass,
  classes: readonly TrafficClass[],
  family: Family,
): PacketFields {
  switch (traffic.type) {
    case 'ports':
      return { protocol: traffic.protocol, destinationPort: traffic.min };
    case 'protocol':
      return { protocol: traffic.protocol ?? otherThan(OTHER_PROTOCOLS, protocolsIn(classes)) };
    case 'icmp': {
      const type = traffic.icmpType ?? otherThan(ECHO[family], icmpTypesIn(classes));
      const code = traffic.code ?? otherThan(OTHER_CODES, icmpCodesIn(classes, traffic.icmpType));
      return { protocol: family === 4 ? ICMP : ICMP_V6, icmp: { type, code } };
    }
  }
}

function protocolsIn(classes: readonly TrafficClass[]): (number | undefined)[] {
  return classes.flatMap((each) => (each.type === 'protocol' ? each.protocol : []));
}

function icmpTypesIn(classes: readonly TrafficClass[]): (number | undefined)[] {
  return classes.flatMap((each) => (each.type === 'icmp' ? each.icmpType : []));
}

function icmpCodesIn(classes: readonly TrafficClass[], type: number | undefined): (number | undefined)[] {
  return classes.flatMap((each) => (each.type === 'icmp' && each.icmpType === type ? each.code : []));
}

/** The first candidate that is not taken, else the first number that is not. */
function otherThan(candidates: readonly number[], taken: readonly (number | undefined)[]): number {
  const used = new Set(taken);
  const every = [...candidates, ...Array.from({ length: 256 }, (_, number) => number)];
  return every.find((candidate) => !used.has(candidate)) ?? 0;
}

function uniqueBy<Value>(values: readonly Value[], keyOf: (value: Value) => string): Value[] {
  return [...new Map(values.map((value) => [keyOf(value), value])).values()];
}
