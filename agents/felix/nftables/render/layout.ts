// The fixed chains, and the base chains (docs/dataplane.md "Packet path"): one table, dispatch by interface,
// the generation in the conntrack mark as the fast path. What knows the generation carries it in its name.

import { FAMILIES, type Family } from '../../../../lib/net/ip.ts';
import type { FelixSettings } from '../../calc/felix-settings.ts';
import { countingChains } from './counting-chains.ts';
import { type DispatchChain, dispatchChainName, dispatchChains } from './dispatch.ts';
import { IDS_MAP } from './fixed-sets.ts';
import {
  type HostChainContext,
  type HostLayout,
  hostChains,
  hostForwardRules,
  hostForwardStages,
  hostInputRules,
} from './host-layout.ts';
import { natChain } from './nat-chain.ts';
import { BuiltInReason, type BuiltInReasonName, type Numbering } from './numbering.ts';
import { header } from './packet-keys.ts';
import { Mark } from './scratch.ts';
import { commentClause, type DispatchCopy, type NftChain } from './table.ts';

/** What the fixed chains depend on. */
export interface LayoutOptions {
  readonly generation: number;
  /** What the chains of this generation ask. */
  readonly dispatch: DispatchCopy;
  readonly felix: FelixSettings;
  readonly hasNatOutgoing: boolean;
  readonly hasSpoofedPrefixes: boolean;
  readonly host: HostLayout;
  /** Starts of allowed flows are counted, for flow records. */
  readonly countsAllowed: boolean;
  /** A flow that was allowed once is never judged again. */
  readonly keepsEstablishedFlows: boolean;
  /** Tunnels of which packets are taken, from those who may send them. */
  readonly tunnels: readonly { readonly kind: 'vxlan' | 'ipip'; readonly family: Family }[];
}

export const TABLE_NAME = 'calico';
export const TABLE = `inet ${TABLE_NAME}`;
const BASE_CHAINS = {
  forward: `type filter hook forward priority filter; policy accept; ${commentClause('to and from workloads')}`,
  input: `type filter hook input priority filter; policy accept; ${commentClause('workloads to their own host')}`,
  prerouting: `type filter hook prerouting priority raw; policy accept; ${commentClause('sources of workloads')}`,
} as const;
/** Counted under the reason, and then as policy's denials are. Not where the kernel cannot answer: `denyVerdict`. */
const denied = (numbering: Numbering, reason: BuiltInReasonName): string =>
  `${numbering.scratch.set(Mark.deny | BuiltInReason[reason])} goto ${numbering.name('denied')}`;
/** Counted under the reason, and dropped whatever the settings say: it is no denial by policy. */
const dropped = (numbering: Numbering, reason: BuiltInReasonName): string =>
  `${numbering.scratch.set(Mark.deny | BuiltInReason[reason])} goto ${numbering.name('dropped')}`;
const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

export function fixedChains(numbering: Numbering, options: LayoutOptions): readonly NftChain[] {
  const host = hostContext(numbering, options);
  return [
    ...countingChains(numbering, 'denied', 'dlog', denyVerdict(numbering, options)),
    ...countingChains(numbering, 'dropped', 'dlog', 'drop'),
    ...(options.countsAllowed ? countingChains(numbering, 'begun', 'alog', 'return') : []),
    ...dispatchChains(numbering, {
      felix: options.felix,
      denied: (reason) => denied(numbering, reason),
      bgpDropped: dropped(numbering, 'bgpFromWorkload'),
    }),
    ...generationChains(numbering, options, host),
    ...baseChains(numbering, options, host),
    ...hostChains(host),
  ];
}

/**
 * As in Calico, an ICMP error says that the port is unreachable, TCP's too. Nothing of ours is left on the packet, as
 * `fwmark_reflect` hands its mark to the answer. The kernel refuses it in postrouting; in raw and mangle Calico has none.
 */
function denyVerdict({ scratch }: Numbering, { felix }: LayoutOptions): string {
  return felix.denyAction === 'drop' ? 'drop' : `${scratch.clear} reject with icmpx port-unreachable`;
}

/** Before anything is known: nothing comes from a workload, nothing goes to one, and no flow has passed yet. */
export function closedChains(felix: FelixSettings): readonly NftChain[] {
  const workload = workloadNames({ felix });
  const base = (name: 'forward' | 'input', rules: readonly string[]): NftChain => ({
    name,
    role: 'base',
    declaration: BASE_CHAINS[name],
    rules,
  });
  return [
    base('forward', [`iifname ${workload} drop`, `oifname ${workload} drop`]),
    base('input', [`iifname ${workload} drop`]),
  ];
}

function hostContext(numbering: Numbering, options: LayoutOptions): HostChainContext {
  const { generation, felix, host } = options;
  const workload = workloadNames(options);
  const shared = {
    passing: [fastPath(generation), ...keptFlows(options)],
    tunnels: tunnelsToOthers(numbering, options),
    notAllowed: notAllowed(numbering),
  };
  return { numbering, generation, felix, host, workload, ...shared };
}

/** Only the allow bit passes. */
function notAllowed(numbering: Numbering): string {
  return `${numbering.scratch.isNotAllowed} ${dropped(numbering, 'noVerdict')}`;
}

/** What stands behind `iifname`: a name with a wildcard, or a set of them. */
function workloadNames({ felix }: Pick<LayoutOptions, 'felix'>): string {
  const names = felix.interfacePrefixes.map((prefix) => `"${prefix}*"`);
  return names.length === 1 ? names.join() : `{ ${names.join(', ')} }`;
}

function generationChains(
  numbering: Numbering,
  options: LayoutOptions,
  host: HostChainContext,
): readonly NftChain[] {
  const { generation } = options;
  const workload = workloadNames(options);
  const name = (base: string): string => numbering.name(`${base}_${generation}`);
  const denies = notAllowed(numbering);
  const chain = (base: string, rules: readonly string[]): NftChain => ({
    name: name(base),
    role: 'generation',
    declaration: commentClause(`generation ${generation}`),
    dispatch: options.dispatch,
    rules,
  });
  const asked = (base: DispatchChain): string => dispatchChainName(numbering, base, options.dispatch);
  const bothSides = (
    from: DispatchChain,
    to: DispatchChain,
    fromInterface: string,
    toInterface: string,
    { before, after }: ReturnType<typeof hostForwardStages>,
  ): readonly string[] => [
    ...before,
    `${fromInterface} ${workload} jump ${asked(from)}`,
    `${fromInterface} ${workload} ${denies}`,
    `${toInterface} ${workload} jump ${asked(to)}`,
    `${toInterface} ${workload} ${denies}`,
    ...after,
    // A workload whose route is not there yet: this flow would be stamped as if it left the host, and then pass unpoliced.
    ...FAMILIES.map(
      (family) =>
        `oifname != ${workload} ${header(family)} daddr @${numbering.name(`own${family}`)} ${dropped(numbering, 'workloadNotReady')}`,
    ),
    `goto ${name('stamp')}`,
  ];
  const toHost = {
    accept: `goto ${name('stamp')}`,
    drop: dropped(numbering, 'workloadToHost'),
    return: `${numbering.scratch.clear} return`,
  }[options.felix.endpointToHostAction];
  return [
    chain('stamp', [
      ...(options.countsAllowed ? [`jump ${numbering.name('begun')}`] : []),
      ...numbering.scratch.stamp(generation, numbering.name(IDS_MAP), dropped(numbering, 'noVerdict')),
    ]),
    chain('slow_o', bothSides('from_o', 'to_o', 'iifname', 'oifname', hostForwardStages(host, 'original'))),
    chain('slow_r', bothSides('from_r', 'to_r', 'oifname', 'iifname', hostForwardStages(host, 'reply'))),
    chain('judge', [
      ...invalidAndRelated(numbering, options),
      `ct direction reply goto ${name('slow_r')}`,
      // Nothing may fall off the end: that would accept.
      `goto ${name('slow_o')}`,
    ]),
    chain('in_w', [
      // An ICMP error of what the host sends this very workload: such a flow is never judged, and none other may be spoken of.
      ...FAMILIES.map(
        (family) =>
          `ct state related meta l4proto ${family === 4 ? 'icmp' : 'icmpv6'} ct mark & ${hex(Mark.generationMask)} == 0 iifname . ct reply ${header(family)} saddr @${numbering.name(`src${family}`)} accept`,
      ),
      ...invalidAndRelated(numbering, options),
      // Answers to what the host began: host to workload is never policed.
      'ct direction reply accept',
      'icmpv6 type nd-neighbor-solicit accept',
      'icmpv6 type nd-neighbor-advert accept',
      `jump ${asked('from_o')}`,
      denies,
      `tcp dport 179 iifname @${numbering.name('bgp')} goto ${name('stamp')}`,
      toHost,
    ]),
  ];
}

/** An ICMP error carries its flow's mark: of a judged flow it has passed already, and no other may stamp the flow. */
function invalidAndRelated(numbering: Numbering, { felix }: LayoutOptions): readonly string[] {
  return [
    ...(felix.dropsInvalid ? [`ct state invalid ${dropped(numbering, 'invalidPacket')}`] : []),
    ...['icmp', 'icmpv6'].map(
      (protocol) => `ct state related meta l4proto ${protocol} ${dropped(numbering, 'icmpErrorUnjudged')}`,
    ),
  ];
}

/** The first rule of `forward` and `input`; the generation is read back from it when an agent starts. */
function fastPath(generation: number): string {
  return `ct mark & ${hex(Mark.generationMask)} == ${hex(generation << Mark.generationShift)} accept`;
}

/** Where flows that were allowed run on whatever policy says later: the mark of any generation passes. */
function keptFlows({ keepsEstablishedFlows }: LayoutOptions): readonly string[] {
  return keepsEstablishedFlows ? [`ct mark & ${hex(Mark.generationMask)} != 0x0 accept`] : [];
}

function baseChains(
  numbering: Numbering,
  options: LayoutOptions,
  host: HostChainContext,
): readonly NftChain[] {
  const { generation } = options;
  const workload = workloadNames(options);
  const judge = numbering.name(`judge_${generation}`);
  const base = (name: keyof typeof BASE_CHAINS, rules: readonly string[]): NftChain => ({
    name,
    role: 'base',
    declaration: BASE_CHAINS[name],
    rules,
  });
  const chains = [
    base('forward', [fastPath(generation), ...keptFlows(options), ...hostForwardRules(host, judge)]),
    base('input', [
      fastPath(generation),
      ...keptFlows(options),
      `iifname ${workload} goto ${numbering.name(`in_w_${generation}`)}`,
      ...tunnelRules(numbering, options),
      ...hostInputRules(host),
    ]),
    base('prerouting', preroutingRules(numbering, options)),
  ];
  return options.hasNatOutgoing ? [...chains, natChain(numbering, options.felix, workload)] : chains;
}

/** Whether the settings name networks of the family that tunnels are taken from. */
export function hasExternal(
  { externalNodes }: Pick<FelixSettings, 'externalNodes'>,
  family: Family,
): boolean {
  return externalNodes.some((net) => net.includes(':') === (family === 6));
}

/** The outer packets of each tunnel, and the sets of addresses that are its other ends. */
function outerPackets(numbering: Numbering, { tunnels, felix }: LayoutOptions): readonly OuterPackets[] {
  return tunnels.map(({ kind, family }) => {
    const named = kind === 'vxlan' ? `vteps${family}` : `nodes${family}`;
    const sets = [named, ...(hasExternal(felix, family) ? [`ext${family}`] : [])];
    return {
      family,
      packet: kind === 'vxlan' ? `udp dport ${felix.vxlanPort}` : 'meta l4proto 4',
      ends: sets.map((set) => `@${numbering.name(set)}`),
    };
  });
}

interface OuterPackets {
  readonly family: Family;
  readonly packet: string;
  readonly ends: readonly string[];
}

/** Outer packets of tunnels: from other ends alone, and from where those are reached, as the kernel would open any. */
function tunnelRules(numbering: Numbering, options: LayoutOptions): readonly string[] {
  return outerPackets(numbering, options).flatMap(({ family, packet, ends }) => {
    const ofFamily = `meta nfproto ipv${family} ${packet}`;
    return [
      ...ends.map((set) => `${ofFamily} ${header(family)} saddr ${set} fib saddr . iif oif exists accept`),
      `${ofFamily} fib daddr type local counter ${denyVerdict(numbering, options)}`,
    ];
  });
}

/** What the host itself wraps is no business of host endpoints' policies, as in Calico. */
function tunnelsToOthers(numbering: Numbering, options: LayoutOptions): readonly string[] {
  return outerPackets(numbering, options).flatMap(({ family, packet, ends }) =>
    ends.map((set) => `${packet} ${header(family)} daddr ${set} accept`),
  );
}

/** Per packet and ahead of conntrack: is this source allowed on this interface? */
function preroutingRules(numbering: Numbering, options: LayoutOptions): readonly string[] {
  const workload = workloadNames(options);
  const named = (set: string): string => `@${numbering.name(set)}`;
  // A look-up that misses denies.
  const peering = `tcp dport 179 iifname != ${named('bgp')}`;
  const bgp = dropped(numbering, 'bgpFromWorkload');
  return [
    // Nobody outside may speak as one of this host's workloads.
    ...FAMILIES.map(
      (family) =>
        `iifname != ${workload} ${header(family)} saddr ${named(`own${family}`)} ${dropped(numbering, 'spoofedFromOutside')}`,
    ),
    `iifname != ${workload} accept`,
    // No workload reaches a node's BGP port: here, before NAT could make it look like its host.
    ...FAMILIES.map((family) => `${peering} ${header(family)} daddr ${named(`hosts${family}`)} ${bgp}`),
    `${peering} fib daddr type local ${bgp}`,
    ...FAMILIES.map((family) => `iifname . ${header(family)} saddr ${named(`src${family}`)} accept`),
    ...(options.hasSpoofedPrefixes
      ? FAMILIES.map((family) => `iifname . ${header(family)} saddr ${named(`spoof${family}`)} accept`)
      : []),
    'ip6 saddr fe80::/10 icmpv6 type nd-neighbor-solicit accept',
    'ip6 saddr fe80::/10 icmpv6 type nd-neighbor-advert accept',
    // Every pod says hello to its link by multicast when it starts: nothing for the record of denials.
    'ip6 daddr ff02::/16 counter drop',
    ...(['ip', 'ip6'] as const).map(
      (protocol) => `meta protocol ${protocol} ${dropped(numbering, 'spoofedSource')}`,
    ),
  ];
}
