// Everything that policy depends on, read from etcd or the API: for `explain`, `diff` and `test --live`.

import type { Resource } from '../../lib/model/metadata.ts';
import { type PolicyCluster, resolveCluster, VERDICT_KINDS } from '../../lib/policy/cluster.ts';
import { POLICY_KINDS, type RuleRef, ruleOwnerKey } from '../../lib/policy/compiled.ts';
import { type RulePlace, ruleSource, type SourceRecord } from '../../lib/policy/rule-source.ts';
import { withStagedEnacted } from '../../lib/policy/staged.ts';
import { sourceName } from '../../lib/protocol/rule-sources.ts';
import type { Backend } from '../backend/backend.ts';
import { explainError } from '../cli-error.ts';

/** Whether a change of such an object can change what the policies of others mean. */
export function isKindOfOthers(kind: string): boolean {
  return VERDICT_KINDS.includes(kind);
}

/**
 * All objects of these kinds, and the endpoints of services, of all namespaces. What is stored and cannot be read is left
 * out, as the hosts do too; `warn` gets a line of each, mirrored endpoints of services aside.
 */
export async function readResources(
  backend: Backend,
  warn: (line: string) => void,
): Promise<readonly Resource[]> {
  const [slices, ...lists] = await Promise.all([
    backend.endpointSlices(),
    ...[...POLICY_KINDS, ...VERDICT_KINDS].map((kind) => backend.list(kind, undefined)),
  ]);
  for (const error of lists.flatMap(({ unreadable }) => unreadable))
    warn(`left out: ${explainError(error)?.message ?? error.message}\n`);
  return [...lists.flatMap(({ items }) => items), ...slices];
}

/** As the hosts enforce it, or with `staged` as if the staged policies were enforced. */
export function clusterOf(resources: readonly Resource[], staged: boolean): PolicyCluster {
  return resolveCluster(staged ? withStagedEnacted(resources) : resources);
}

/** One line for each object that counts as absent, as the hosts treat it too. */
export function clusterWarnings(cluster: PolicyCluster): readonly string[] {
  return cluster.problems.map(({ kind, namespace, name, reason }) => {
    const full = namespace === '' ? name : `${namespace}/${name}`;
    return `${kind} ${full} is left out: ${reason}`;
  });
}

/** Finds where the rules of these resources were written. */
export function sourceFinder(
  resources: readonly Resource[],
  records: ReadonlyMap<string, SourceRecord>,
): (ref: RuleRef) => RulePlace | undefined {
  const byName = new Map(
    resources.map((resource) => {
      const { kind, metadata } = resource;
      return [sourceName({ kind, ...metadata }), resource];
    }),
  );
  return (ref) => {
    const name = ruleOwnerKey(ref);
    const resource = byName.get(name);
    return resource === undefined
      ? undefined
      : ruleSource(resource, records.get(name), ref.direction, ref.index);
  };
}
