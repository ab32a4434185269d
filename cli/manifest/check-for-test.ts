// Checks an object that a policy test brings: v3 objects as `apply` would, Kubernetes' by their shape.

import { CALICO_API_VERSION } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type CheckedObject, checkObject, DEFAULT_NAMESPACE } from './check.ts';
import { isObject, type ManifestObject } from './manifest.ts';

/** Kubernetes' kinds without a namespace that a test may bring. */
const GLOBAL_KINDS: ReadonlySet<string> = new Set(['Namespace', 'Node', 'ClusterNetworkPolicy']);

/** Undefined if it cannot be used, with the reasons in `problems`. */
export function checkForTest(
  object: ManifestObject,
  problems: string[],
): Pick<CheckedObject, 'resource' | 'placeOf'> | undefined {
  const { value, placeOf, locate } = object;
  if (value['apiVersion'] === CALICO_API_VERSION) return checkObject(object, 'validate', undefined, problems);
  const { kind, metadata } = value;
  if (typeof kind !== 'string' || !isObject(metadata) || typeof metadata['name'] !== 'string') {
    problems.push(`${locate('')}: this is not an object with apiVersion, kind and metadata.name`);
    return undefined;
  }
  const isGlobal = GLOBAL_KINDS.has(kind);
  const namespaced = isGlobal ? metadata : { namespace: DEFAULT_NAMESPACE, ...metadata };
  return { resource: { ...value, metadata: namespaced } as unknown as Resource, placeOf };
}
