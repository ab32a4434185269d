// The chains of host endpoints (docs/dataplane.md "Host endpoints"): the host's own traffic in `input` and `output`, what it
// forwards in `slow_*`, pre-DNAT policy in mangle, untracked policy in raw. There are few of them, so interfaces are compared
// one by one: a compare cannot miss. All of it is there only while the host has endpoints.

import type { FelixSettings } from '../../calc/felix-settings.ts';
import { failsafeAnswers, failsafeRules } from './failsafe-rules.ts';
import { BuiltInReason, type Numbering } from './numbering.ts';
import { PRE_DNAT_KEYS, TRACKED_KEYS, UNTRACKED_KEYS } from './packet-keys.ts';
import { Mark, type Scratch } from './scratch.ts';
import { commentClause, type NftChain } from './table.ts';

/** Chains of an interface's endpoint; undefined where it has no policy of that stage. */
export interface HostChains {
  readonly normal: { readonly ingress: string; readonly egress: string };
  /** Egress of what the host sends and DNAT has led elsewhere: judged in postrouting, where the kernel cannot reject. */
  readonly behindDnat: string;
  /** The same for what is not tracked: nothing of a flow is known there. */
  readonly ofPacket: { readonly ingress: string; readonly egress: string };
  readonly forward: { readonly ingress: string; readonly egress: string } | undefined;
  readonly preDnat: string | undefined;
  readonly untracked: { readonly ingress: string; readonly egress: string } | undefined;
}

export interface HostLayout {
  /** Sorted by interface. */
  readonly interfaces: readonly { readonly name: string; readonly chains: HostChains }[];
  /** Of every other interface. */
  readonly others: HostChains | undefined;
}

export const NO_HOST_ENDPOINTS: HostLayout = { interfaces: [], others: undefined };

/** What the fixed chains of workloads and those of the host share. */
export interface HostChainContext {
  readonly numbering: Numbering;
  readonly generation: number;
  readonly felix: FelixSettings;
  readonly host: HostLayout;
  /** What stands behind `iifname` for a workload's interface. */
  readonly workload: string;
  /** What a chain begins with: flows that were judged pass. */
  readonly passing: readonly string[];
  /** Accepts what the host sends to other ends of its tunnels. */
  readonly tunnels: readonly string[];
  /** Denies what carries no allow bit. */
  readonly notAllowed: string;
}

type InterfaceKey = 'iifname' | 'oifname';

const BASE_CHAINS = {
  output: 'type filter hook output priority filter; policy accept; comment "the host\'s own traffic";',
  pre_dnat: 'type filter hook prerouting priority mangle; policy accept; comment "pre-DNAT policy";',
  dnated:
    'type filter hook postrouting priority mangle; policy accept; comment "the host\'s own traffic, after DNAT";',
  raw_in: 'type filter hook prerouting priority raw + 1; policy accept; comment "untracked policy";',
  raw_out: 'type filter hook output priority raw; policy accept; comment "untracked policy";',
} as const;

const NEIGHBOUR_DISCOVERY = [
  'icmpv6 type nd-neighbor-solicit accept',
  'icmpv6 type nd-neighbor-advert accept',
] as const;

function all({ interfaces, others }: HostLayout): readonly HostChains[] {
  return [...interfaces.map(({ chains }) => chains), ...(others === undefined ? [] : [others])];
}

function hasHostEndpoints(host: HostLayout): boolean {
  return all(host).length > 0;
}

function hasForward(host: HostLayout): boolean {
  return all(host).some(({ forward }) => forward !== undefined);
}

function hasPreDnat(host: HostLayout): boolean {
  return all(host).some(({ preDnat }) => preDnat !== undefined);
}

/** Only of named interfaces, as in Calico. */
function untrackedInterfaces({ interfaces }: HostLayout): HostLayout['interfaces'] {
  return interfaces.filter(({ chains }) => chains.untracked !== undefined);
}

/**
 * All of the host's chains. `hi_i` is there without host endpoints too: whatever changes about them changes it, or a chain that
 * knows the generation, so that live flows are judged anew.
 */
export function hostChains(context: HostChainContext): readonly NftChain[] {
  const normal = chain(context, 'hi_i', 'ingress of iifname', dispatch(context, 'iifname', ingress));
  if (!hasHostEndpoints(context.host)) return [normal];
  return [
    normal,
    ...dispatchChains(context),
    ...failsafeChains(context),
    ...generationChains(context),
    ...baseChains(context),
  ];
}

const ingress = ({ normal }: HostChains): string => normal.ingress;
const egress = ({ normal }: HostChains): string => normal.egress;

/** In `input`, behind what is for workloads. */
export function hostInputRules({ numbering, generation, host }: HostChainContext): readonly string[] {
  return gotoForEach(host, 'iifname', numbering.name(`in_h_${generation}`));
}

/** Behind the fast path of `forward`: what is nobody's is left alone, neither judged nor stamped. Nothing may fall off the end. */
export function hostForwardRules({ host, workload }: HostChainContext, next: string): readonly string[] {
  if (!hasForward(host)) return [`iifname != ${workload} oifname != ${workload} accept`, `goto ${next}`];
  if (host.others?.forward !== undefined) return [`goto ${next}`];
  const names = [
    workload,
    ...host.interfaces.filter(({ chains }) => chains.forward !== undefined).map(({ name }) => `"${name}"`),
  ];
  const keys: readonly InterfaceKey[] = ['iifname', 'oifname'];
  return [...names.flatMap((name) => keys.map((key) => `${key} ${name} goto ${next}`)), 'accept'];
}

/**
 * Around the workloads' stages of `slow_*`: policy of the interface that the flow came in by, and of the one it leaves by. A reply
 * is judged as its flow is, by pre-DNAT policy too: it must not make current what that has revoked.
 */
export function hostForwardStages(
  { numbering, host, notAllowed }: HostChainContext,
  direction: 'original' | 'reply',
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const [into, outOf] = direction === 'original' ? ['i', 'o'] : ['o', 'i'];
  const preDnat = hasPreDnat(host) ? [`jump ${numbering.name(`hp_${into}`)}`] : [numbering.scratch.clear];
  if (!hasForward(host)) return { before: hasPreDnat(host) ? preDnat : [], after: [] };
  return {
    before: [
      ...preDnat,
      `${numbering.scratch.isNotAllowed} jump ${numbering.name(`hfi_${into}`)}`,
      notAllowed,
    ],
    after: [`jump ${numbering.name(`hfe_${outOf}`)}`, notAllowed],
  };
}

function dispatchChains(context: HostChainContext): readonly NftChain[] {
  const { host } = context;
  const { scratch } = context.numbering;
  const both = (
    base: string,
    what: string,
    chainOf: (chains: HostChains) => string | undefined,
    before: readonly string[],
    none: string,
  ): readonly NftChain[] =>
    (['iifname', 'oifname'] as const).map((key) =>
      chain(context, `${base}_${key === 'iifname' ? 'i' : 'o'}`, `${what} of ${key}`, [
        ...before,
        ...dispatch(context, key, chainOf, none),
      ]),
    );
  const unpoliced = `${scratch.set(Mark.allow | BuiltInReason.noForwardPolicy)} return`;
  return [
    chain(context, 'hi_o', 'ingress of oifname', dispatch(context, 'oifname', ingress)),
    chain(
      context,
      'hn_i',
      'ingress of iifname, of what is not tracked',
      dispatch(context, 'iifname', ({ ofPacket }) => ofPacket.ingress),
    ),
    chain(
      context,
      'hn_o',
      'egress of oifname, of what is not tracked',
      dispatch(context, 'oifname', ({ ofPacket }) => ofPacket.egress),
    ),
    ...both('he', 'egress', egress, [], 'return'),
    chain(
      context,
      'hd_o',
      'egress of oifname, behind DNAT',
      dispatch(context, 'oifname', ({ behindDnat }) => behindDnat),
    ),
    ...(hasForward(host)
      ? [
          ...both('hfi', 'forward ingress', ({ forward }) => forward?.ingress, [scratch.clear], unpoliced),
          // Where nobody asks, what was decided before stays.
          ...both('hfe', 'forward egress', ({ forward }) => forward?.egress, [], 'return').map((each) =>
            clearFirst(each, scratch),
          ),
        ]
      : []),
    ...(hasPreDnat(host)
      ? both(
          'hp',
          'pre-DNAT ingress',
          ({ preDnat }) => preDnat,
          [scratch.clear, ...failsafeRules(context.felix, 'ingress', PRE_DNAT_KEYS, 'return')],
          'return',
        )
      : []),
    ...untrackedDispatch(context),
  ];
}

/** Each lookup begins with nothing in scratch, so that a chain that just ends denies. */
function clearFirst(dispatching: NftChain, scratch: Scratch): NftChain {
  const rules = dispatching.rules.map((rule) => rule.replace(/(?=goto )/, `${scratch.clear} `));
  return { ...dispatching, rules };
}

function untrackedDispatch(context: HostChainContext): readonly NftChain[] {
  const interfaces = untrackedInterfaces(context.host);
  if (interfaces.length === 0) return [];
  const host: HostLayout = { interfaces, others: undefined };
  const { scratch } = context.numbering;
  const only = { ...context, host };
  return [
    chain(context, 'hu_i', 'untracked ingress of iifname', [
      scratch.clear,
      ...dispatch(only, 'iifname', ({ untracked }) => untracked?.ingress),
    ]),
    chain(context, 'hu_o', 'untracked egress of oifname', [
      scratch.clear,
      ...dispatch(only, 'oifname', ({ untracked }) => untracked?.egress),
    ]),
    ...(['ingress', 'egress'] as const).map((direction) =>
      chain(context, direction === 'ingress' ? 'raw_i' : 'raw_o', `untracked ${direction}`, [
        ...NEIGHBOUR_DISCOVERY,
        // Failsafe ports stay tracked, and so do the answers from them.
        ...failsafeRules(context.felix, direction, UNTRACKED_KEYS, 'accept'),
        ...failsafeAnswers(context.felix, direction),
        `jump ${context.numbering.name(direction === 'ingress' ? 'hu_i' : 'hu_o')}`,
        `${scratch.isAllowed} ${scratch.clear} notrack accept`,
        scratch.clear,
      ]),
    ),
  ];
}

function failsafeChains(context: HostChainContext): readonly NftChain[] {
  const verdict = `${context.numbering.scratch.set(Mark.allow | BuiltInReason.failsafePort)} return`;
  return (['ingress', 'egress'] as const).map((direction) =>
    chain(
      context,
      direction === 'ingress' ? 'fs_i' : 'fs_e',
      `failsafe ports, ${direction}`,
      failsafeRules(context.felix, direction, TRACKED_KEYS, verdict),
    ),
  );
}

function generationChains(context: HostChainContext): readonly NftChain[] {
  const { numbering, generation, host, notAllowed } = context;
  const { scratch } = numbering;
  const name = (base: string): string => numbering.name(`${base}_${generation}`);
  const made = (base: string, rules: readonly string[]): NftChain => ({
    name: name(base),
    role: 'generation',
    declaration: commentClause(`generation ${generation}`),
    rules,
  });
  const stamp = `goto ${name('stamp')}`;
  const isAllowed = `${scratch.isAllowed} ${stamp}`;
  const preDnat = (side: string): readonly string[] =>
    hasPreDnat(host) ? [`jump ${numbering.name(`hp_${side}`)}`, isAllowed] : [];
  /** Multicast listeners, router solicitations and advertisements are never tracked, nor is what rules of others say. */
  const untracked = (policies: string): readonly string[] => askedOfUntracked(numbering, policies);
  /** What is asked of one direction of a flow, and what follows its verdict. */
  const judged = (
    failsafePorts: string,
    before: readonly string[],
    policies: string,
    end: readonly string[],
  ): readonly string[] => [
    scratch.clear,
    `jump ${numbering.name(failsafePorts)}`,
    ...end.map((rule) => `${scratch.isAllowed} ${rule}`),
    isAllowed,
    ...before,
    `jump ${numbering.name(policies)}`,
    notAllowed,
    ...end,
    stamp,
  ];
  // What the host sends to itself is judged on its way out and in again: only the latter may stamp the flow.
  const onLoopback = [`oifname "lo" ${scratch.clear} accept`];
  return [
    made('in_h', [
      ...invalidAndRelated(context, false),
      ...NEIGHBOUR_DISCOVERY,
      ...untrackedAllowed(context, 'hu_i'),
      `ct direction reply goto ${name('in_hr')}`,
      ...judged('fs_i', [...preDnat('i'), ...untracked('hn_i')], 'hi_i', []),
    ]),
    made('in_hr', judged('fs_e', [], 'he_i', [])),
    made('out_h', [
      ...invalidAndRelated(context, true),
      ...NEIGHBOUR_DISCOVERY,
      ...untrackedAllowed(context, 'hu_o'),
      `ct direction reply goto ${name('out_hr')}`,
      ...judged('fs_e', untracked('hn_o'), 'he_o', onLoopback),
    ]),
    made('out_hr', judged('fs_i', preDnat('o'), 'hi_o', onLoopback)),
    made('out_d', [...invalidAndRelated(context, true), ...judged('fs_e', [], 'hd_o', onLoopback)]),
  ];
}

/**
 * An ICMP error of a flow that was never judged passes, as it stamps nothing: the host sends them for what it only routes. Of a
 * flow that was, it has passed on the fast path or belongs to one that was revoked: then it is our own answer where those are given.
 */
function invalidAndRelated({ felix }: HostChainContext, isOutput: boolean): readonly string[] {
  const neverJudged = `ct mark & 0x${Mark.generationMask.toString(16)} == 0`;
  const answers = isOutput && felix.denyAction === 'reject';
  return [
    ...(felix.dropsInvalid ? ['ct state invalid counter drop'] : []),
    ...['icmp', 'icmpv6'].flatMap((protocol) => {
      const error = `ct state related meta l4proto ${protocol}`;
      return answers ? [`${error} accept`] : [`${error} ${neverJudged} accept`, `${error} counter drop`];
    }),
  ];
}

/** Asked again behind conntrack, so that no mark has to be carried there. */
function untrackedAllowed({ numbering, host }: HostChainContext, policies: string): readonly string[] {
  return untrackedInterfaces(host).length === 0 ? [] : askedOfUntracked(numbering, policies);
}

function askedOfUntracked(numbering: Numbering, policies: string): readonly string[] {
  return [
    `ct state untracked jump ${numbering.name(policies)}`,
    `ct state untracked ${numbering.scratch.isAllowed} ${numbering.scratch.clear} accept`,
  ];
}

function baseChains(context: HostChainContext): readonly NftChain[] {
  const { numbering, generation, host, workload, passing, tunnels } = context;
  const base = (name: keyof typeof BASE_CHAINS, rules: readonly string[]): NftChain => ({
    name,
    role: 'base',
    declaration: BASE_CHAINS[name],
    rules,
  });
  const out = (chain: string): readonly string[] =>
    gotoForEach(host, 'oifname', numbering.name(`${chain}_${generation}`));
  const untracked = untrackedInterfaces(host);
  return [
    base('output', [
      ...passing,
      // Host to its own workload is never policed.
      `oifname ${workload} accept`,
      ...tunnels,
      // Behind a DNAT the interface that is known here may not be the one: `dnated` judges.
      'ct direction original ct status dnat accept',
      ...out('out_h'),
    ]),
    base('dnated', [
      ...passing,
      `oifname ${workload} accept`,
      'ct direction reply accept',
      // What is forwarded came in by an interface.
      ...out('out_d').map((rule) => `meta iif 0 ct status dnat ${rule}`),
    ]),
    ...(hasPreDnat(host)
      ? [
          base('pre_dnat', [
            ...passing,
            'ct state untracked accept',
            'ct direction reply accept',
            `jump ${numbering.name('hp_i')}`,
            numbering.scratch.clear,
          ]),
        ]
      : []),
    ...(untracked.length > 0
      ? [
          base(
            'raw_in',
            untracked.map(({ name }) => `iifname "${name}" goto ${numbering.name('raw_i')}`),
          ),
          base(
            'raw_out',
            untracked.map(({ name }) => `oifname "${name}" goto ${numbering.name('raw_o')}`),
          ),
        ]
      : []),
  ];
}

function gotoForEach(host: HostLayout, key: InterfaceKey, target: string): readonly string[] {
  if (host.others !== undefined) return [`goto ${target}`];
  return host.interfaces.map(({ name }) => `${key} "${name}" goto ${target}`);
}

/** Interface by interface to the chain of its endpoint, `none` where that has no policy of the kind. */
function dispatch(
  { host }: HostChainContext,
  key: InterfaceKey,
  chainOf: (chains: HostChains) => string | undefined,
  none = 'return',
): readonly string[] {
  const verdict = (chains: HostChains | undefined): string => {
    const target = chains === undefined ? undefined : chainOf(chains);
    return target === undefined ? none : `goto ${target}`;
  };
  if (!hasHostEndpoints(host)) return [];
  return [
    ...host.interfaces.map(({ name, chains }) => `${key} "${name}" ${verdict(chains)}`),
    verdict(host.others),
  ];
}

function chain(
  { numbering }: HostChainContext,
  base: string,
  what: string,
  rules: readonly string[],
): NftChain {
  return {
    name: numbering.name(base),
    role: 'static',
    declaration: commentClause(`host endpoints: ${what}`),
    rules,
  };
}
