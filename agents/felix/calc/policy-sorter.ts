// The policies that apply to one endpoint, split by tier and kind and put in the order in which they are asked
// (Felix's policy sorter; the order itself is lib/policy/order.ts).

import type { EndpointTier, PolicyId } from '../../../lib/policy/compiled.ts';
import { comparePolicies, compareTiers } from '../../../lib/policy/order.ts';
import type { PolicyInput, TierInput } from './inputs.ts';

/** A policy stands in `untracked` or `preDnat` alone, else in `normal`, and if it says so in `forward` too. */
export interface SortedTiers {
  readonly normal: readonly EndpointTier[];
  readonly untracked: readonly EndpointTier[];
  readonly preDnat: readonly EndpointTier[];
  readonly forward: readonly EndpointTier[];
}

interface SortedTier {
  readonly name: string;
  readonly defaultAction: 'deny' | 'pass';
  readonly policies: readonly PolicyInput[];
}

/** `tiers` are those in the datastore; policies of others come last, and such a tier denies at its end. */
export function sortPolicies(
  policies: readonly PolicyInput[],
  tiers: ReadonlyMap<string, TierInput>,
): SortedTiers {
  const sorted = groupByTier(policies, tiers);
  const isNormal = (input: PolicyInput): boolean => !input.policy.untracked && !input.policy.preDnat;
  return {
    normal: selectTiers(sorted, isNormal),
    untracked: selectTiers(sorted, ({ policy }) => policy.untracked, { defaultAction: 'pass' }),
    // Only what comes in can be caught before DNAT.
    preDnat: selectTiers(sorted, ({ policy }) => policy.preDnat && !policy.untracked, {
      defaultAction: 'pass',
      ingressOnly: true,
    }),
    forward: selectTiers(sorted, (input) => isNormal(input) && input.policy.applyOnForward),
  };
}

function groupByTier(policies: readonly PolicyInput[], tiers: ReadonlyMap<string, TierInput>): SortedTier[] {
  const policiesByTier = Map.groupBy(policies, ({ policy }) => policy.tier);
  const ranks = [...policiesByTier.keys()].map((name) => ({
    name,
    order: tiers.get(name)?.order,
    exists: tiers.has(name),
  }));
  return ranks.sort(compareTiers).map(({ name }) => ({
    name,
    defaultAction: tiers.get(name)?.defaultAction ?? 'deny',
    policies: (policiesByTier.get(name) ?? []).sort((a, b) =>
      comparePolicies({ id: a.policy.id, order: a.order }, { id: b.policy.id, order: b.order }),
    ),
  }));
}

function selectTiers(
  tiers: readonly SortedTier[],
  belongs: (input: PolicyInput) => boolean,
  options: { readonly defaultAction?: 'pass'; readonly ingressOnly?: boolean } = {},
): EndpointTier[] {
  return tiers.flatMap((tier) => {
    const policies = tier.policies.filter(belongs);
    const ingress = idsOf(policies.filter(({ policy }) => policy.governs.ingress));
    const egress = options.ingressOnly ? [] : idsOf(policies.filter(({ policy }) => policy.governs.egress));
    if (ingress.length === 0 && egress.length === 0) return [];
    return [{ name: tier.name, defaultAction: options.defaultAction ?? tier.defaultAction, ingress, egress }];
  });
}

function idsOf(policies: readonly PolicyInput[]): PolicyId[] {
  return policies.map(({ policy }) => policy.id);
}
