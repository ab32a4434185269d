// BGPFilters, pools, services and communities of an intent as bgpd's import and export policies: pure. bgpd decides by the
// first rule that matches, so what Calico says in steps (filters, refusals, communities, permissions) is laid out in order.

import type { FilterRule } from '../../../lib/model/bgp-types.ts';
import {
  type Cidr,
  cidrCovers,
  type Family,
  familyBits,
  formatCidr,
  parseCidr,
} from '../../../lib/net/ip.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { matchesPrefix } from '../../bgp/policy/policy.ts';
import { type FamilyIntent, type PeerIntent, PRIORITY_BASE } from './intent.ts';
import { asNumber } from './node-table.ts';

export type PolicyInput = NonNullable<NonNullable<BgpdConfigurationInput['peers']>[number]['exportPolicy']>;
type RuleInput = PolicyInput['rules'][number];

/** Where routes leave this host, for rules that ask for an interface. */
export interface RouteInterfaces {
  /** The networks that interfaces are on: by them next hops are reached. */
  readonly networks: readonly { readonly interface: string; readonly cidr: string }[];
  /** Workloads whose addresses are announced by themselves. */
  readonly workloads: readonly { readonly interface: string; readonly cidr: string }[];
}

/** What no filter decides is accepted. */
export function importPolicy(
  peer: PeerIntent,
  intent: FamilyIntent,
  interfaces: RouteInterfaces,
): PolicyInput {
  return { rules: filterRules(peer, intent, interfaces, 'imports'), otherwise: 'accept' };
}

/**
 * What no filter decides is announced if it is this node's own, or a learned route of a pool or service. `passesOn`: this
 * node may have learned routes that the peer can be told; where it cannot, one rule for all prefixes is enough.
 */
export function exportPolicy(
  peer: PeerIntent,
  intent: FamilyIntent,
  interfaces: RouteInterfaces,
  passesOn: boolean,
): PolicyInput {
  const networks = passesOn ? [...new Set([...intent.services, ...intent.announced])].flatMap(parse) : [];
  return {
    rules: [
      ...filterRules(peer, intent, interfaces, 'exports'),
      ...intent.refused.map((prefix): RuleInput => ({ prefix, operator: 'in', action: 'reject' })),
      ...withCommunities({ source: 'local', action: 'accept' }, undefined, intent),
      ...networks.flatMap((network) =>
        withCommunities({ prefix: formatCidr(network), operator: 'in', action: 'accept' }, network, intent),
      ),
    ],
    otherwise: 'reject',
  };
}

/** Whether a filter asks for an interface: then policies depend on the host's. */
export function asksForInterface(intent: FamilyIntent): boolean {
  return [...intent.filters.values()].some(({ imports, exports }) =>
    [...imports, ...exports].some(({ interface: pattern }) => isGiven(pattern)),
  );
}

function isGiven(pattern: string | undefined): pattern is string {
  return pattern !== undefined && pattern !== '';
}

/**
 * The rule, and before it one for each network that communities are given to, the narrowest first: networks contain one
 * another or are apart, so the narrowest one has the communities of all that contain it.
 */
function withCommunities(rule: RuleInput, within: Cidr | undefined, intent: FamilyIntent): RuleInput[] {
  const given = intent.communities.flatMap(({ cidr, add }) =>
    parse(cidr).map((network) => ({ network, add })),
  );
  const places = new Map<string, Cidr>();
  for (const { network } of given) {
    const place = within === undefined || cidrCovers(within, network) ? network : within;
    if (place === network || cidrCovers(network, place)) places.set(formatCidr(place), place);
  }
  const special = [...places.values()]
    .sort((a, b) => b.length - a.length)
    .map((place): RuleInput => {
      const add = given.filter(({ network }) => cidrCovers(network, place)).flatMap((entry) => entry.add);
      return {
        ...rule,
        prefix: formatCidr(place),
        operator: 'in',
        set: { addCommunities: [...new Set(add)].sort() },
      };
    });
  return [...special, rule];
}

function filterRules(
  peer: PeerIntent,
  intent: FamilyIntent,
  interfaces: RouteInterfaces,
  direction: 'imports' | 'exports',
): RuleInput[] {
  const isWanted = ({ peerType }: FilterRule): boolean =>
    peerType === undefined || (peerType === 'iBGP') === peer.isSameAs;
  return peer.filters
    .flatMap((name) => intent.filters.get(name)?.[direction] ?? [])
    .filter(isWanted)
    .flatMap((rule) =>
      isGiven(rule.interface) ? byInterface(rule, rule.interface, intent.family, interfaces) : ruleOf(rule),
    );
}

/**
 * A learned route leaves by the interface on whose network its next hop is, a workload's own by the workload's; blocks and
 * services leave by none, and the rule never holds for them. Of the rules that come of it one at most holds for a route.
 */
function byInterface(
  rule: FilterRule,
  pattern: string,
  family: Family,
  { networks, workloads }: RouteInterfaces,
): RuleInput[] {
  const isMatch = globMatcher(pattern);
  const rules = ruleOf(rule);
  const chosen = (routes: RouteInterfaces['networks']): Cidr[] =>
    routes
      .filter((route) => isMatch(route.interface))
      .flatMap(({ cidr }) => parse(cidr))
      .filter((cidr) => cidr.family === family);
  const learned = chosen(networks).flatMap((network) =>
    rules.map((each): RuleInput => ({ ...each, source: 'peer', nextHop: formatCidr(network) })),
  );
  if (rule.source === 'RemotePeers') return learned;
  const own = chosen(workloads).flatMap((address) =>
    rules.flatMap((each): RuleInput[] => {
      const { prefix, operator = 'in', minLength, maxLength, ...rest } = each;
      const [network] = parse(prefix ?? '');
      const match = {
        ...{ operator, ...(network === undefined ? {} : { prefix: network }) },
        ...(minLength === undefined ? {} : { minLength }),
        ...(maxLength === undefined ? {} : { maxLength }),
      };
      if (!matchesPrefix(match, address)) return [];
      return [{ ...rest, source: 'local', prefix: formatCidr(address), operator: 'equal' }];
    }),
  );
  return [...learned, ...own];
}

/** `*` stands for any characters, none too. */
function globMatcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}$`);
  return (name) => expression.test(name);
}

function ruleOf(rule: FilterRule): RuleInput[] {
  const base: RuleInput = {
    ...(rule.source === 'RemotePeers' ? { source: 'peer' } : {}),
    ...(rule.communities === undefined ? {} : { community: rule.communities.values[0] }),
    ...(rule.asPathPrefix === undefined || rule.asPathPrefix.length === 0
      ? {}
      : { asPathPrefix: rule.asPathPrefix.flatMap((asn) => asNumber(asn) ?? []) }),
    ...(rule.priority === undefined ? {} : { localPref: PRIORITY_BASE - rule.priority }),
    action: rule.action === 'Accept' ? 'accept' : 'reject',
    ...actionsOf(rule),
  };
  return prefixConditions(rule).map((condition) => ({ ...base, ...condition }));
}

type PrefixCondition = Pick<RuleInput, 'prefix' | 'operator' | 'minLength' | 'maxLength'>;

/** One condition, or several of which one must hold. */
function prefixConditions({ cidr, matchOperator, prefixLength }: FilterRule): PrefixCondition[] {
  const [network] = parse(cidr ?? '');
  if (network === undefined || matchOperator === undefined) return [{}];
  const prefix = formatCidr(network);
  const operator = OPERATORS[matchOperator];
  if (prefixLength === undefined) return [{ prefix, operator }];
  const minLength = Math.max(prefixLength.min ?? 0, network.length);
  const maxLength = Math.min(prefixLength.max ?? familyBits(network.family), familyBits(network.family));
  if (matchOperator !== 'NotIn') return [{ prefix, operator, minLength, maxLength }];
  return [
    { prefix, operator },
    ...(minLength > 0 ? [{ maxLength: minLength - 1 }] : []),
    ...(maxLength < familyBits(network.family) ? [{ minLength: maxLength + 1 }] : []),
  ];
}

const OPERATORS = { Equal: 'equal', NotEqual: 'notEqual', In: 'in', NotIn: 'notIn' } as const;

/** Operations in order: of two priorities the last one counts, and what is prepended later stands further in front. */
function actionsOf({ operations = [] }: FilterRule): Pick<RuleInput, 'set'> {
  if (operations.length === 0) return {};
  const priority = operations.findLast(({ setPriority }) => setPriority !== undefined)?.setPriority?.value;
  const addCommunities = operations.flatMap(({ addCommunity }) => addCommunity?.value ?? []);
  const prependAsns = operations
    .toReversed()
    .flatMap(({ prependASPath }) => prependASPath?.prefix ?? [])
    .flatMap((asn) => asNumber(asn) ?? []);
  return {
    set: {
      ...(priority === undefined ? {} : { localPref: PRIORITY_BASE - priority }),
      ...(addCommunities.length === 0 ? {} : { addCommunities }),
      ...(prependAsns.length === 0 ? {} : { prependAsns }),
    },
  };
}

function parse(text: string): Cidr[] {
  const network = parseCidr(text);
  return network === undefined ? [] : [network];
}
