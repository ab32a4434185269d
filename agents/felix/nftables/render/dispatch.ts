// How a packet comes to the policy of its ends: from interface to group, from group to chain (docs/dataplane.md "One change, up to
// five transactions"). A packet asks for each of its ends by a lookup of its own, so the maps from interface to group are there
// twice, with the chains that ask them: groups change in the copy that nothing leads to, and the generation's chains, which
// no packet sees half changed, then lead to that one.

import { FAMILIES } from '../../../../lib/net/ip.ts';
import type { FelixSettings } from '../../calc/felix-settings.ts';
import type { Numbering } from './numbering.ts';
import { header } from './packet-keys.ts';
import { commentClause, type DispatchCopy, type NftChain } from './table.ts';

export const DISPATCH_COPIES: readonly DispatchCopy[] = ['a', 'b'];
export const FIRST_DISPATCH: DispatchCopy = 'a';

export function otherDispatch(copy: DispatchCopy): DispatchCopy {
  return copy === 'a' ? 'b' : 'a';
}

/** Of sender or receiver (`from`, `to`), in original or reply direction of the flow. */
export type DispatchChain = 'from_o' | 'to_o' | 'from_r' | 'to_r';

export function dispatchChainName(numbering: Numbering, base: DispatchChain, copy: DispatchCopy): string {
  return numbering.name(`${base}_${copy}`);
}

interface DispatchOptions {
  readonly felix: FelixSettings;
  /** What becomes of a packet that may not pass, by its reason. */
  readonly denied: (reason: 'tunnelFromWorkload' | 'unknownInterface') => string;
  readonly bgpDropped: string;
}

/** Both copies. Two small steps: data maps can grow without the kernel walking every jump again. */
export function dispatchChains(numbering: Numbering, options: DispatchOptions): readonly NftChain[] {
  const { scratch } = numbering;
  const { felix, denied, bgpDropped } = options;
  const chain = (
    base: DispatchChain,
    copy: DispatchCopy,
    interfaceKey: 'iifname' | 'oifname',
    before: readonly string[] = [],
  ): NftChain => {
    const [direction, letter] = base.startsWith('from') ? ['egress', 'e'] : ['ingress', 'i'];
    const way = base.endsWith('_o') ? 'original' : 'reply';
    return {
      name: dispatchChainName(numbering, base, copy),
      role: 'static',
      declaration: commentClause(`${direction} group of ${interfaceKey}, ${way} direction, copy ${copy}`),
      rules: [
        ...before,
        `${scratch.lookUp(interfaceKey, numbering.name(`ep_${letter}_${copy}`))} ${scratch.key} vmap @${numbering.name(`grp_${letter}`)}`,
        denied('unknownInterface'),
      ],
    };
  };
  const tunnel = denied('tunnelFromWorkload');
  const tunnels = [
    ...(felix.allowsVxlanFromWorkloads
      ? []
      : [`ct direction original udp dport ${felix.vxlanPort} ${tunnel}`]),
    ...(felix.allowsIpipFromWorkloads ? [] : [`meta l4proto 4 ${tunnel}`]),
  ];
  // Also behind a DNAT: the raw hook has seen the address before it.
  const bgp = FAMILIES.map(
    (family) =>
      `tcp dport 179 iifname != @${numbering.name('bgp')} ${header(family)} daddr @${numbering.name(`hosts${family}`)} ${bgpDropped}`,
  );
  return DISPATCH_COPIES.flatMap((copy) => [
    chain('from_o', copy, 'iifname', [...tunnels, ...bgp]),
    chain('to_o', copy, 'oifname'),
    chain('from_r', copy, 'oifname'),
    chain('to_r', copy, 'iifname'),
  ]);
}
