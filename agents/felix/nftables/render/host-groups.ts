// The groups of host endpoints: up to nine lists for each, by stage and direction (docs/dataplane.md "Host endpoints").

import type { CompiledHostEndpoint, Direction, EndpointTier } from '../../../../lib/policy/compiled.ts';
import { type GroupList, groupListOf, groupTiers, type HostStage, hostStageListOf } from './group.ts';
import type { ResolvedHostEndpoints } from './host-interfaces.ts';
import type { HostChains, HostLayout } from './host-layout.ts';

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** The chain of a list's group. */
type ChainOf = (list: GroupList) => string;

/** `chainsOf` is asked once for each endpoint that has an interface. */
export function hostLayoutOf(
  { byInterface, others }: ResolvedHostEndpoints,
  chainsOf: (endpoint: CompiledHostEndpoint) => HostChains,
): HostLayout {
  const known = new Map<CompiledHostEndpoint, HostChains>();
  const once = (endpoint: CompiledHostEndpoint): HostChains => {
    const chains = known.get(endpoint) ?? chainsOf(endpoint);
    known.set(endpoint, chains);
    return chains;
  };
  return {
    interfaces: [...byInterface]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, endpoint]) => ({ name, chains: once(endpoint) })),
    others: others && once(others),
  };
}

/** `rejects`: what policy denies is answered where it can be. One that the kernel refuses keeps its interface closed, but for the failsafe ports. */
export function hostEndpointChains(
  endpoint: CompiledHostEndpoint,
  { isLeftOut, rejects }: { readonly isLeftOut: boolean; readonly rejects: boolean },
  chainOf: ChainOf,
): HostChains {
  const { forwardTiers, preDnatTiers, untrackedTiers } = endpoint;
  const judged = isLeftOut ? { tiers: [], profiles: [] } : endpoint;
  const normal = inBoth((direction) => chainOf(groupListOf(judged, direction)));
  const inStage = (tiers: readonly EndpointTier[], stage: HostStage): HostChains['forward'] =>
    isEnforced(tiers) && !isLeftOut
      ? inBoth((direction) => chainOf(hostStageListOf(tiers, direction, stage)))
      : undefined;
  return {
    normal,
    behindDnat: rejects ? chainOf({ ...groupListOf(judged, 'egress'), cannotReject: true }) : normal.egress,
    ofPacket: isLeftOut
      ? normal
      : inBoth((direction) => chainOf({ ...groupListOf(judged, direction), isOfPacket: true })),
    forward: isLeftOut && isEnforced(forwardTiers) ? normal : inStage(forwardTiers, 'forward'),
    preDnat:
      isEnforced(preDnatTiers) && !isLeftOut
        ? chainOf(hostStageListOf(preDnatTiers, 'ingress', 'preDnat'))
        : undefined,
    untracked: inStage(untrackedTiers, 'untracked'),
  };
}

function inBoth(chainOf: (direction: Direction) => string): { ingress: string; egress: string } {
  return { ingress: chainOf('ingress'), egress: chainOf('egress') };
}

function isEnforced(tiers: readonly EndpointTier[]): boolean {
  return DIRECTIONS.some((direction) => groupTiers(tiers, direction).length > 0);
}
