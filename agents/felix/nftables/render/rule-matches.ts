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
  const looksAtPorts = [rule.source, rule.destination].some(
    (side) =>
      side.ports.length + side.namedPorts.length + side.notPorts.length + side.notNamedPorts.length > 0,
  );
  if (!looksAtPorts) return [rule.protocol];
  if (rule.protocol !== undefined) return PORT_PROTOCOLS.includes(rule.protocol) ? [rule.protocol] : [];
  return PORT_PROTOCOLS.filter((protocol) => protocol !== rule.notProtocol);
}

export function familiesOf(rule: CompiledRule, protocol: ProtocolNumber | undefined): readonly Family[] {
  if (rule.ipVersion !== undefined) return [rule.ipVersion];
  if (protocol === Protocol.icmp) return [4];
  if (protocol === Protocol.icmpv6) return [6];
  return [4, 6];
}

/** Alternatives of matches on ICMP type and code; one empty alternative where the rule has none. */
export function icmpMatches(rule: CompiledRule): readonly (readonly string[])[] {
  const family = rule.protocol === Protocol.icmpv6 ? 6 : 4;
  const header = family === 6 ? 'icmpv6' : 'icmp';
  const withAnswer = (type: number): readonly number[] => {
    const answer = ICMP_ANSWERS[family].get(type);
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
