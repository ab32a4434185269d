// Kubernetes' policies of manifests as they would be stored for the hosts: for `diff`, as calicoctl does not write them.

import { leftOut, mirroredPolicy } from '../../lib/conversion/mirrored-policy.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { applyDefaults } from '../../lib/model/validation/defaults.ts';
import { checkAny } from './check-any.ts';
import type { ManifestObject } from './manifest.ts';
import { manifestError } from './read-files.ts';

/** What the hosts do without goes to `warn`. Throws CliError with every problem of every one. */
export function mirroredPolicies(
  objects: readonly ManifestObject[],
  namespace: string | undefined,
  warn: (line: string) => void,
): Resource[] {
  const problems: string[] = [];
  const policies = objects.flatMap((object) => {
    const resource = checkAny(object, namespace, problems)?.resource;
    if (resource === undefined) return [];
    const mirrored = mirroredPolicy(resource);
    for (const problem of mirrored?.problems ?? [])
      warn(`${object.locate(problem.field)}: ${leftOut(resource, problem)}\n`);
    return mirrored?.policy === undefined ? [] : [applyDefaults(mirrored.policy)];
  });
  if (problems.length > 0) throw manifestError(problems);
  return policies;
}
