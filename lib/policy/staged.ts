// Which enforced policy a staged one stands for: with `stagedAction: Set` it would take its place, with `Delete` end it. The
// evaluator is then asked with `stagedAsEnforced` (docs/policy.md "Order").

import { storedPolicyName } from '../conversion/network-policy.ts';
import type { Resource } from '../model/metadata.ts';
import { type PolicyKind, policyKey } from './compiled.ts';

/** The kind that a staged kind stages. */
const STAGES: Readonly<Record<string, PolicyKind>> = {
  StagedNetworkPolicy: 'NetworkPolicy',
  StagedGlobalNetworkPolicy: 'GlobalNetworkPolicy',
  StagedKubernetesNetworkPolicy: 'NetworkPolicy',
};
/** `Learn` and `Ignore` stand beside the others. */
const REPLACING_ACTIONS: readonly unknown[] = [undefined, 'Set', 'Delete'];

/** Key of the enforced policy, there or not, that a staged one would replace or delete; undefined for what stages neither. */
export function replacedByStaged({ kind, metadata, spec }: Resource): string | undefined {
  const enforced = STAGES[kind];
  const action = (spec as { stagedAction?: unknown } | undefined)?.stagedAction;
  if (enforced === undefined || !REPLACING_ACTIONS.includes(action)) return undefined;
  const name = kind === 'StagedKubernetesNetworkPolicy' ? storedPolicyName(metadata.name) : metadata.name;
  return keyOf(enforced, { ...metadata, name });
}

/** The resources without those enforced policies that a staged one replaces or deletes. */
export function withStagedEnacted(resources: readonly Resource[]): readonly Resource[] {
  const replaced = new Set(resources.flatMap((resource) => replacedByStaged(resource) ?? []));
  return resources.filter(({ kind, metadata }) => !isEnforced(kind) || !replaced.has(keyOf(kind, metadata)));
}

function isEnforced(kind: string): kind is PolicyKind {
  return Object.values<string>(STAGES).includes(kind);
}

function keyOf(kind: PolicyKind, { namespace, name }: Resource['metadata']): string {
  return policyKey({ kind, name, namespace: kind === 'GlobalNetworkPolicy' ? '' : (namespace ?? 'default') });
}
