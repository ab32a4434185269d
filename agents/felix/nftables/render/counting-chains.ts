// Chains that count packets of flows by reason and give the verdict: what is denied, and what begins (docs/felix.md "Flow records").

import { FAMILIES } from '../../../../lib/net/ip.ts';
import type { Numbering } from './numbering.ts';
import { header } from './packet-keys.ts';
import { Mark } from './scratch.ts';
import { commentClause, type NftChain } from './table.ts';

/** TCP, UDP, SCTP. */
const WITH_PORTS = [6, 17, 132];

/**
 * Counts by reason and 5-tuple, then gives the verdict. A packet that finds the set full comes to the last rule, whose counter
 * is that of what was lost. Answers are counted under their flow: its source is their destination.
 */
export function countingChains(
  numbering: Numbering,
  base: 'denied' | 'dropped' | 'begun',
  set: 'dlog' | 'alog',
  verdict: string,
): readonly NftChain[] {
  const { scratch } = numbering;
  const rules = (from: 's' | 'd', to: 's' | 'd'): readonly string[] => [
    ...FAMILIES.flatMap((family) => {
      const ip = header(family);
      const key = `${scratch.key} . ${ip} ${from}addr . ${ip} ${to}addr`;
      const start = `meta nfproto ipv${family}`;
      const withPorts = WITH_PORTS.map((protocol) => {
        const withProtocol = scratch.add(protocol << Mark.protocolShift);
        return `${start} meta l4proto ${protocol} ${withProtocol} update @${numbering.name(`${set}${family}`)} { ${key} . th ${from}port . th ${to}port counter } ${verdict}`;
      });
      const others = WITH_PORTS.map((protocol) => `meta l4proto != ${protocol}`).join(' ');
      return [
        ...withPorts,
        `${start} ${others} update @${numbering.name(`${set}p${family}`)} { ${key} . meta l4proto . th sport counter } ${verdict}`,
      ];
    }),
    `counter ${verdict}`,
  ];
  const declaration = commentClause(`counts what is ${base} by reason and flow`);
  const chain = (name: string, chainRules: readonly string[]): NftChain => ({
    name: numbering.name(name),
    role: 'static',
    declaration,
    rules: chainRules,
  });
  return [
    chain(`${base}_r`, rules('d', 's')),
    chain(base, [`ct direction reply goto ${numbering.name(`${base}_r`)}`, ...rules('s', 'd')]),
  ];
}
