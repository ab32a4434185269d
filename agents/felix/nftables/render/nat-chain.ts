// NAT outgoing of pools (docs/dataplane.md "Packet path"): there only while a pool asks for it, as its hook costs every packet a little.

import { FAMILIES, type Family } from '../../../../lib/net/ip.ts';
import type { FelixSettings } from '../../calc/felix-settings.ts';
import type { Numbering } from './numbering.ts';
import { header } from './packet-keys.ts';
import { commentClause, type NftChain } from './table.ts';

const NAT_CHAIN = {
  name: 'postrouting',
  declaration: `type nat hook postrouting priority srcnat; policy accept; ${commentClause('NAT outgoing of pools')}`,
} as const;

/** Ports can be chosen of protocols that have them alone. */
function natRules(match: string, family: Family, { natAddress, natPorts }: FelixSettings): readonly string[] {
  const address = family === 4 ? natAddress : undefined;
  const toPorts = natPorts === undefined ? '' : `:${natPorts.first}-${natPorts.last}`;
  const withPorts = address === undefined ? `masquerade to ${toPorts}` : `snat ip to ${address}${toPorts}`;
  return [
    ...(natPorts === undefined
      ? []
      : ['tcp', 'udp', 'sctp'].map((protocol) => `${match} meta l4proto ${protocol} ${withPorts}`)),
    `${match} ${address === undefined ? 'masquerade' : `snat ip to ${address}`}`,
  ];
}

/**
 * Written so that a miss leaves the source as it is: a wrong source lasts as long as its flow. `workload` is what stands behind
 * `oifname` for a workload's interface.
 */
export function natChain(numbering: Numbering, felix: FelixSettings, workload: string): NftChain {
  const hosts = felix.excludesHostsFromNat
    ? FAMILIES.map((family) => `${header(family)} daddr @${numbering.name(`nodes${family}`)} accept`)
    : [];
  const rules = FAMILIES.flatMap((family) => [
    `${header(family)} daddr @${numbering.name(`pools${family}`)} accept`,
    ...natRules(`${header(family)} saddr @${numbering.name(`masq${family}`)}`, family, felix),
  ]);
  return {
    name: NAT_CHAIN.name,
    role: 'base',
    declaration: NAT_CHAIN.declaration,
    rules: [`oifname ${workload} accept`, ...hosts, ...rules],
  };
}
