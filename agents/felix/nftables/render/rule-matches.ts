// The part of a rule that is compared in place, without a lookup: protocols, families, ICMP types. A compare cannot miss its
// map, so a negation may stay one here.

import type { Family } from '../../../../lib/net/ip.ts';
import type { CompiledRule, ProtocolNumber } from '../../../../lib/policy/compiled.ts';

const Protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132, udplite: 136 } as const;
const PORT_PROTOCOLS: readonly number[] = [Protocol.tcp, Protocol.udp, Protocol.sctp, Protocol.udplite];
/** Answers that conntrack knows: a rule that names the request also judges the answer of a live flow. */
const ICMP_ANSWERS: Readonly<Record<Family, ReadonlyMap<number, number>>> = {
  4: new Map([
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
  ]),
  6: new Map([
    [128, 129],
    [139, 140],
  ]),
};

/** Protocols to write the rule for, one at a time where it looks at ports; undefined: any. */
export function protocolsOf(rule: CompiledRule): readonly (ProtocolNumber | undefined)[] {
  if (rule.protocol !== undefined && rule.protocol === rule.notProtocol) return [];
  const looksAtPorts = [rule.source, rule.destination].some(
    (side) =>
      side.ports.length + side.namedPorts.length + side.notPorts.length + side.notNamedPorts.length > 0,
  );
  if (!looksAtPorts) return [rule.protocol];
  if (rule.protocol !== undefined) return PORT_PROTOCOLS.includes(rule.protocol) ? [rule.protocol] : [];
  return PORT_PROTOCOLS.filter((protocol) => protocol !== rule.notProtocol);
}

/** What tells packets without ports from the others. */
export const NO_PORTS: readonly string[] = PORT_PROTOCOLS.map((protocol) => `meta l4proto != ${protocol}`);

/**
 * The rule for packets without ports, where `protocolsOf` leaves them out: they have no port that could be excluded. Undefined
 * where the rule asks for a port, for a protocol, or for no port at all.
 */
export function portlessRule(rule: CompiledRule): CompiledRule | undefined {
  const sides = [rule.source, rule.destination];
  const asks = sides.some((side) => side.ports.length + side.namedPorts.length > 0);
  const excludes = sides.some((side) => side.notPorts.length + side.notNamedPorts.length > 0);
  if (rule.protocol !== undefined || asks || !excludes) return undefined;
  const [source, destination] = sides.map((side) => ({ ...side, notPorts: [], notNamedPorts: [] }));
  return source === undefined || destination === undefined ? undefined : { ...rule, source, destination };
}

/**
 * Families that one lookup may serve: a match on ICMP is one in a single family. None where the rule can match no packet: ICMP of
 * one family, networks of the other.
 */
export function familyGroups(
  rule: CompiledRule,
  protocol: ProtocolNumber | undefined,
): readonly (readonly Family[])[] {
  const families = familiesOf(rule, protocol);
  const looksAtIcmp = rule.icmp !== undefined || rule.notIcmp !== undefined;
  if (families.length === 0) return [];
  return looksAtIcmp ? families.map((family) => [family]) : [families];
}

function familiesOf(rule: CompiledRule, protocol: ProtocolNumber | undefined): readonly Family[] {
  return familiesOfProtocol(protocol).filter((family) => (rule.ipVersion ?? family) === family);
}

function familiesOfProtocol(protocol: ProtocolNumber | undefined): readonly Family[] {
  if (protocol === Protocol.icmp) return [4];
  return protocol === Protocol.icmpv6 ? [6] : [4, 6];
}

/**
 * Alternatives of matches on ICMP type and code; one empty alternative where the rule has none. Of another protocol no packet
 * has a type, not even another one than the rule excludes. `withReplies`: the answers to what the rule names are judged by it
 * too.
 */
export function icmpMatches(
  rule: CompiledRule,
  protocol: ProtocolNumber | undefined,
  family: Family,
  withReplies: boolean,
): readonly (readonly string[])[] {
  if (rule.icmp === undefined && rule.notIcmp === undefined) return [[]];
  const header = family === 6 ? 'icmpv6' : 'icmp';
  if (protocol !== undefined && protocol !== Protocol[header]) return [];
  const withAnswer = (type: number): readonly number[] => {
    const answer = withReplies ? ICMP_ANSWERS[family].get(type) : undefined;
    return answer === undefined ? [type] : [type, answer];
  };
  let alternatives: readonly (readonly string[])[] = [[]];
  if (rule.icmp !== undefined) {
    const { type, code } = rule.icmp;
    const codeMatch = code === undefined ? [] : [`${header} code ${code}`];
    alternatives = withAnswer(type).map((each) => [`${header} type ${each}`, ...codeMatch]);
  }
  if (rule.notIcmp !== undefined) {
    const { type, code } = rule.notIcmp;
    const types = withAnswer(type);
    const otherTypes = types.map((each) => `${header} type != ${each}`);
    const otherCodes =
      code === undefined ? [] : types.map((each) => [`${header} type ${each}`, `${header} code != ${code}`]);
    alternatives = alternatives.flatMap((matches) =>
      [otherTypes, ...otherCodes].map((not) => [...matches, ...not]),
    );
  }
  return alternatives;
}
