// What of a resolved cluster matters to one host: its endpoints, and the policies, profiles and selectors that they need.
// It is what the calculation graph of that host must arrive at.

import type { PolicyCluster } from './cluster.ts';
import {
  type CompiledHostEndpoint,
  type CompiledPolicy,
  type CompiledProfile,
  type CompiledRule,
  type CompiledWorkloadEndpoint,
  policyKey,
  type SelectorId,
} from './compiled.ts';

export interface HostView {
  readonly workloadEndpoints: readonly CompiledWorkloadEndpoint[];
  readonly hostEndpoints: readonly CompiledHostEndpoint[];
  readonly policies: readonly CompiledPolicy[];
  /** Those that an endpoint here names, missing ones too. */
  readonly profiles: readonly CompiledProfile[];
  /** Used by a rule of one of these policies or profiles. */
  readonly selectors: ReadonlySet<SelectorId>;
}

export function hostView(cluster: PolicyCluster, host: string): HostView {
  const workloadEndpoints = [...cluster.workloadEndpoints.values()].filter(({ id }) => id.host === host);
  const hostEndpoints = [...cluster.hostEndpoints.values()].filter(({ id }) => id.host === host);
  const policies = [...cluster.policies.values()].filter(({ id }) => {
    const key = policyKey(id);
    return cluster.alwaysActive.has(key) || (cluster.hostsByPolicy.get(key)?.has(host) ?? false);
  });
  const named = new Set([...workloadEndpoints, ...hostEndpoints].flatMap((endpoint) => endpoint.profiles));
  const profiles = [...named].flatMap((name) => cluster.profiles.get(name) ?? []);
  const rules = [...policies, ...profiles].flatMap(({ ingress, egress }) => [...ingress, ...egress]);
  return {
    workloadEndpoints,
    hostEndpoints,
    policies,
    profiles,
    selectors: new Set(rules.flatMap(ruleSelectorIds)),
  };
}

/** The selectors that a rule reads, those of named ports among them. */
function ruleSelectorIds({ source, destination }: CompiledRule): SelectorId[] {
  return [source, destination].flatMap((entity) => [
    ...entity.selectors,
    ...entity.notSelectors,
    ...[...entity.namedPorts, ...entity.notNamedPorts].map(({ selector }) => selector),
  ]);
}
