// Import and export policy: an ordered list of rules on prefix, source, next hop, community and AS path; the first that matches
// decides. Without one, internal peers accept and external peers reject (RFC 8212).

import { type Cidr, cidrCovers, hostCidr } from '../../../lib/net/ip.ts';
import { prependAsn } from '../packet/attributes/as-path.ts';
import type { AsPath, LargeCommunity } from '../packet/attributes/types.ts';
import type { RouteAttributes } from '../packet/validate.ts';

export interface PolicyMatch {
  readonly prefix?: Cidr;
  /** How the prefix is compared with `prefix`; `in` takes in the prefix itself. */
  readonly operator: 'equal' | 'notEqual' | 'in' | 'notIn';
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly family?: 4 | 6;
  readonly source?: 'local' | 'peer';
  readonly community?: number;
  readonly largeCommunity?: LargeCommunity;
  /** The AS path begins with these. */
  readonly asPathPrefix?: readonly number[];
  readonly localPref?: number;
  /** The path's next hop is inside; our own paths have none. */
  readonly nextHop?: Cidr;
}

/** The conditions that one prefix meets and another does not, with the same attributes. */
export type PrefixMatch = Pick<PolicyMatch, 'prefix' | 'operator' | 'minLength' | 'maxLength' | 'family'>;

export interface PolicyActions {
  readonly localPref?: number;
  readonly multiExitDisc?: number;
  readonly addCommunities?: readonly number[];
  readonly addLargeCommunities?: readonly LargeCommunity[];
  /** Prepended so that the first stands first in the path. */
  readonly prependAsns?: readonly number[];
}

export interface PolicyRule {
  readonly match: PolicyMatch;
  readonly action: 'accept' | 'reject';
  readonly set?: PolicyActions;
}

export interface Policy {
  readonly rules: readonly PolicyRule[];
  /** What happens to a path that no rule matches. */
  readonly otherwise: 'accept' | 'reject';
}

export const ACCEPT_ALL: Policy = { rules: [], otherwise: 'accept' };
export const REJECT_ALL: Policy = { rules: [], otherwise: 'reject' };

export interface PolicyInput {
  readonly prefix: Cidr;
  readonly source: 'local' | 'peer';
  readonly attributes: RouteAttributes;
}

/** The attributes to go on with, the same object if nothing is set; undefined if the path is rejected. */
export function applyPolicy(policy: Policy, input: PolicyInput): RouteAttributes | undefined {
  return policyOutcome(policy, decidingRule(policy, input), input.attributes);
}

/** The first rule that matches; undefined: none does. */
export function decidingRule(policy: Policy, input: PolicyInput): PolicyRule | undefined {
  return policy.rules.find(({ match }) => matches(match, input));
}

/** What the deciding rule makes of attributes that it matches: equal for all prefixes that it decides. */
export function policyOutcome(
  policy: Policy,
  rule: PolicyRule | undefined,
  attributes: RouteAttributes,
): RouteAttributes | undefined {
  if ((rule?.action ?? policy.otherwise) === 'reject') return undefined;
  return rule?.set === undefined ? attributes : withActions(attributes, rule.set);
}

/** Whether prefixes with the same attributes, source and family can fare differently. */
export function dependsOnPrefix(policy: Policy): boolean {
  return policy.rules.some(
    ({ match }) =>
      match.prefix !== undefined || match.minLength !== undefined || match.maxLength !== undefined,
  );
}

function matches(match: PolicyMatch, input: PolicyInput): boolean {
  return (
    matchesPrefix(match, input.prefix) &&
    matchesSource(match, input) &&
    matchesAttributes(match, input.attributes)
  );
}

export function matchesPrefix(match: PrefixMatch, prefix: Cidr): boolean {
  if (match.family !== undefined && match.family !== prefix.family) return false;
  if (match.minLength !== undefined && prefix.length < match.minLength) return false;
  if (match.maxLength !== undefined && prefix.length > match.maxLength) return false;
  if (match.prefix === undefined) return true;
  const covers = cidrCovers(match.prefix, prefix);
  const equal = covers && prefix.length === match.prefix.length;
  switch (match.operator) {
    case 'equal':
      return equal;
    case 'notEqual':
      return !equal;
    case 'in':
      return covers;
    case 'notIn':
      return !covers;
  }
}

function matchesSource(match: PolicyMatch, input: PolicyInput): boolean {
  if (match.nextHop !== undefined && input.source === 'local') return false;
  return match.source === undefined || match.source === input.source;
}

function matchesAttributes(match: PolicyMatch, attributes: RouteAttributes): boolean {
  const { community, largeCommunity, asPathPrefix, localPref, nextHop } = match;
  if (nextHop !== undefined && !cidrCovers(nextHop, hostCidr(attributes.nextHop))) return false;
  if (community !== undefined && !(attributes.communities ?? []).includes(community)) return false;
  if (largeCommunity !== undefined && !hasLarge(attributes.largeCommunities, largeCommunity)) return false;
  if (localPref !== undefined && attributes.localPref !== localPref) return false;
  if (asPathPrefix === undefined) return true;
  const asns = leadingAsns(attributes.asPath ?? []);
  return asPathPrefix.every((asn, index) => asns[index] === asn);
}

/** Up to the first set; a sequence has 255 at most, and goes on in the next segment. */
function leadingAsns(path: AsPath): readonly number[] {
  const end = path.findIndex(({ type }) => type !== 'sequence');
  return (end < 0 ? path : path.slice(0, end)).flatMap(({ asns }) => asns);
}

function withActions(attributes: RouteAttributes, set: PolicyActions): RouteAttributes {
  const { localPref, multiExitDisc, addCommunities, addLargeCommunities, prependAsns } = set;
  return {
    ...attributes,
    ...(localPref === undefined ? {} : { localPref }),
    ...(multiExitDisc === undefined ? {} : { multiExitDisc }),
    ...(addCommunities === undefined
      ? {}
      : { communities: sortedSet([...(attributes.communities ?? []), ...addCommunities]) }),
    ...(addLargeCommunities === undefined
      ? {}
      : { largeCommunities: addLarge(attributes.largeCommunities ?? [], addLargeCommunities) }),
    ...(prependAsns === undefined
      ? {}
      : {
          asPath: prependAsns
            .toReversed()
            .reduce((path, asn) => prependAsn(path, asn), attributes.asPath ?? []),
        }),
  };
}

function sortedSet(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function hasLarge(list: readonly LargeCommunity[] | undefined, wanted: LargeCommunity): boolean {
  return (list ?? []).some((community) => community.every((part, index) => part === wanted[index]));
}

function addLarge(list: readonly LargeCommunity[], added: readonly LargeCommunity[]): LargeCommunity[] {
  return [...list, ...added.filter((community) => !hasLarge(list, community))];
}
