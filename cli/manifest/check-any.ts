// Checks an object that may be of Kubernetes' kinds: v3 objects as for `apply`, Kubernetes' policies by the schema of their kind.

import { mirroredKind } from '../../lib/conversion/mirrored-policy.ts';
import { CALICO_API_VERSION, kindInfo } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { checkSchema, unknownPaths } from '../../lib/model/validation/check-schema.ts';
import { checkMetadata, wholeObject } from '../../lib/model/validation/metadata.ts';
import { formatProblem, type Problem } from '../../lib/model/validation/problem.ts';
import {
  type CheckedObject,
  checkObject,
  type ManifestAction,
  unknownProblems,
  withNamespace,
} from './check.ts';
import { isObject, type ManifestObject } from './manifest.ts';

/** Kubernetes' kinds without a namespace that have a part in policy. */
const GLOBAL_KINDS: ReadonlySet<string> = new Set(['Namespace', 'Node', 'ClusterNetworkPolicy']);

/** With its namespace; undefined if it cannot be used, with the reasons in `problems`. */
export function checkAny(
  object: ManifestObject,
  action: ManifestAction,
  namespace: string | undefined,
  problems: string[],
): Pick<CheckedObject, 'resource' | 'placeOf'> | undefined {
  const { value, placeOf, locate } = object;
  if (value['apiVersion'] === CALICO_API_VERSION) return checkObject(object, action, namespace, problems);
  const { kind, metadata } = value;
  if (typeof kind !== 'string' || !isObject(metadata) || typeof metadata['name'] !== 'string') {
    problems.push(`${locate('')}: this is not an object with apiVersion, kind and metadata.name`);
    return undefined;
  }
  const count = problems.length;
  const report = (problem: Problem): void => {
    problems.push(`${locate(problem.path)}: ${formatProblem(problem)}`);
  };
  const info = { kind, namespaced: !GLOBAL_KINDS.has(kind) };
  const resource = withNamespace(value as unknown as Resource, info, namespace, report);
  for (const problem of policyProblems(resource, action)) report(problem);
  return problems.length > count ? undefined : { resource, placeOf };
}

/** The API, which would refuse the same, is not asked. */
function policyProblems(resource: Resource, action: ManifestAction): Problem[] {
  const mirrored = mirroredKind(resource);
  if (mirrored === undefined) return [];
  const { schema, refOf } = mirrored;
  const { kind, name } = refOf(resource);
  const metadata = checkMetadata(kindInfo(kind), { ...resource.metadata, name });
  if (action === 'delete') return metadata;
  const unknown = unknownProblems(unknownPaths(wholeObject(schema), resource, ''));
  return [...unknown, ...metadata, ...checkSchema(schema, resource, '')];
}
