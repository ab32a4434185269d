// What if the staged policies were enforced: a staged policy takes the place of the enforced one of its name, or with
// `stagedAction: Delete` ends it. The evaluator is then asked with `stagedAsEnforced` (docs/policy.md "Order").

import { storedPolicyName } from '../conversion/network-policy.ts';
import type { Resource } from '../model/metadata.ts';

/** The kind that a staged kind stages. */
const STAGES: Readonly<Record<string, string>> = {
  StagedNetworkPolicy: 'NetworkPolicy',
  StagedGlobalNetworkPolicy: 'GlobalNetworkPolicy',
  StagedKubernetesNetworkPolicy: 'NetworkPolicy',
};

/** The resources without those enforced policies that a staged one replaces or deletes. */
export function withStagedEnacted(resources: readonly Resource[]): readonly Resource[] {
  const staged = new Set(resources.flatMap((resource) => stagedName(resource) ?? []));
  return resources.filter(({ kind, metadata }) => !staged.has(nameOf(kind, metadata)));
}

/** The enforced policy that it is about; undefined for what stages nothing. */
function stagedName({ kind, metadata, spec }: Resource): string | undefined {
  const enforced = STAGES[kind];
  const action = (spec as { stagedAction?: unknown } | undefined)?.stagedAction;
  if (enforced === undefined || action === 'Ignore' || action === 'Learn') return undefined;
  const isConverted = kind === 'StagedKubernetesNetworkPolicy';
  const name = isConverted ? storedPolicyName(metadata.name) : metadata.name;
  return nameOf(enforced, { ...metadata, name });
}

function nameOf(kind: string, { namespace = '', name }: Resource['metadata']): string {
  return `${kind}/${namespace}/${name}`;
}
