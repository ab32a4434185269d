// The policies that apply to one endpoint, by tier and kind of policy, in the order they are asked (docs/policy.md "Order").

import type { PolicyCompilation } from './compile.ts';
import type { CompiledHostEndpoint, EndpointTier } from './compiled.ts';
import { comparePolicies, compareTiers, type TierRank } from './order.ts';

export interface TierDefinition extends TierRank {
  readonly defaultAction: 'deny' | 'pass';
}

export type HostEndpointTiers = Pick<
  CompiledHostEndpoint,
  'tiers' | 'untrackedTiers' | 'preDnatTiers' | 'forwardTiers'
>;

/** Tiers of a workload endpoint. `applying` are the policies whose selector matches it, in any order. */
export function workloadTiers(
  applying: readonly PolicyCompilation[],
  tierByName: ReadonlyMap<string, TierDefinition>,
): EndpointTier[] {
  return buildTiers(applying.filter(isNormal), tierByName);
}

export function hostTiers(
  applying: readonly PolicyCompilation[],
  tierByName: ReadonlyMap<string, TierDefinition>,
): HostEndpointTiers {
  const untracked = applying.filter(({ policy }) => policy.untracked);
  const preDnat = applying.filter(({ policy }) => policy.preDnat && !policy.untracked);
  const forwarded = applying.filter((compiled) => isNormal(compiled) && compiled.policy.applyOnForward);
  return {
    tiers: buildTiers(applying.filter(isNormal), tierByName),
    untrackedTiers: buildTiers(untracked, tierByName).map(asPass),
    preDnatTiers: buildTiers(preDnat, tierByName)
      .filter(({ ingress }) => ingress.length > 0)
      .map((tier) => ({ ...asPass(tier), egress: [] })),
    forwardTiers: buildTiers(forwarded, tierByName),
  };
}

function isNormal({ policy }: PolicyCompilation): boolean {
  return !policy.untracked && !policy.preDnat;
}

/** Untracked and pre-DNAT policies never drop at the end of a tier. */
function asPass(tier: EndpointTier): EndpointTier {
  return { ...tier, defaultAction: 'pass' };
}

function buildTiers(
  applying: readonly PolicyCompilation[],
  tierByName: ReadonlyMap<string, TierDefinition>,
): EndpointTier[] {
  const policiesByTier = Map.groupBy(applying, ({ policy }) => policy.tier);
  const tiers = [...policiesByTier.keys()].map((name) => tierByName.get(name) ?? absentTier(name));
  return tiers
    .sort(compareTiers)
    .map(({ name, defaultAction }) => buildTier(name, defaultAction, policiesByTier.get(name) ?? []))
    .filter(({ ingress, egress }) => ingress.length > 0 || egress.length > 0);
}

function buildTier(
  name: string,
  defaultAction: 'deny' | 'pass',
  compilations: readonly PolicyCompilation[],
): EndpointTier {
  const policies = compilations
    .map(({ policy, order }) => ({ id: policy.id, order, governs: policy.governs }))
    .sort(comparePolicies);
  return {
    name,
    defaultAction,
    ingress: policies.filter(({ governs }) => governs.ingress).map(({ id }) => id),
    egress: policies.filter(({ governs }) => governs.egress).map(({ id }) => id),
  };
}

/** Policies may name a tier that the datastore does not have; they apply all the same. */
function absentTier(name: string): TierDefinition {
  return { name, order: undefined, exists: false, defaultAction: 'deny' };
}
