// Checks every object of every manifest before the first is stored: shape, kind, namespace, unknown fields, the model's rules,
// and what calicoctl does not write. All problems at once, each with its place.

import { STORED_CLUSTER_POLICY_PREFIX } from '../../lib/conversion/cluster-network-policy.ts';
import { STORED_POLICY_PREFIX } from '../../lib/conversion/network-policy.ts';
import { CALICO_API_VERSION, findKind, type KindInfo } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { applyDefaults } from '../../lib/model/validation/defaults.ts';
import { formatProblem, type Problem } from '../../lib/model/validation/problem.ts';
import { unknownFields } from '../../lib/model/validation/unknown-fields.ts';
import { validateResource } from '../../lib/model/validation/validate.ts';
import type { PlaceOf } from '../../lib/policy/rule-source.ts';
import { isObject, type ManifestObject } from './manifest.ts';

export type ManifestAction = 'create' | 'apply' | 'replace' | 'delete' | 'get' | 'validate';

export interface CheckedObject {
  readonly resource: Resource;
  readonly locate: (path: string) => string;
  readonly placeOf: PlaceOf;
}

export const DEFAULT_NAMESPACE = 'default';
/** By kind, how the names of policies begin that are mirrored from Kubernetes' own. */
const MIRRORED_PREFIXES: Readonly<Record<string, string>> = {
  NetworkPolicy: STORED_POLICY_PREFIX,
  GlobalNetworkPolicy: STORED_CLUSTER_POLICY_PREFIX,
};

/** The object with its namespace; undefined if it cannot be used, with the reasons in `problems`. */
export function checkObject(
  { value, locate, placeOf }: ManifestObject,
  action: ManifestAction,
  namespace: string | undefined,
  problems: string[],
): CheckedObject | undefined {
  const count = problems.length;
  const report = (problem: Problem): void => {
    problems.push(`${locate(problem.path)}: ${formatProblem(problem)}`);
  };
  const info = checkShape(value, report);
  if (info === undefined) return undefined;
  const resource = withNamespace(value as unknown as Resource, info, namespace, report);
  for (const problem of refusals(resource, info, action)) report(problem);
  const reads = action === 'get' || action === 'delete';
  if (!reads) for (const problem of modelProblems(resource)) report(problem);
  return problems.length > count ? undefined : { resource, locate, placeOf };
}

function checkShape(
  value: Readonly<Record<string, unknown>>,
  report: (problem: Problem) => void,
): KindInfo | undefined {
  const { apiVersion, kind, metadata } = value;
  if (typeof kind !== 'string' || kind === '') {
    report({ path: 'kind', rule: 'required', message: 'must be set' });
    return undefined;
  }
  if (apiVersion !== CALICO_API_VERSION) {
    report({ path: 'apiVersion', rule: 'enum', message: versionMessage(apiVersion, kind) });
    return undefined;
  }
  const info = findKind(kind);
  if (info?.inCalicoctl !== true) {
    report({ path: 'kind', rule: 'enum', message: `is not a kind of ${CALICO_API_VERSION}: ${kind}` });
    return undefined;
  }
  if (!isObject(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    report({ path: 'metadata.name', rule: 'required', message: 'must be set' });
    return undefined;
  }
  return info;
}

function versionMessage(apiVersion: unknown, kind: string): string {
  if (apiVersion === undefined) return `must be ${CALICO_API_VERSION}`;
  const isKubernetes =
    typeof apiVersion === 'string' && /^(v1|[a-z.]+\.k8s\.io\/.+|apps\/v1)$/.test(apiVersion);
  return isKubernetes
    ? `${apiVersion} ${kind} is managed through the Kubernetes API: use kubectl for it`
    : `must be ${CALICO_API_VERSION}, not ${JSON.stringify(apiVersion)}`;
}

/** With the namespace of the object, that of `-n`, or `default`. */
export function withNamespace(
  resource: Resource,
  info: Pick<KindInfo, 'kind' | 'namespaced'>,
  wanted: string | undefined,
  report: (problem: Problem) => void,
): Resource {
  const { namespace } = resource.metadata;
  if (!info.namespaced) {
    if (wanted !== undefined)
      report({ path: 'kind', rule: 'forbidden', message: `${info.kind} is not namespaced: leave -n out` });
    return resource;
  }
  if (namespace !== undefined && wanted !== undefined && namespace !== wanted) {
    const message = `is ${JSON.stringify(namespace)}, but -n asks for ${JSON.stringify(wanted)}`;
    report({ path: 'metadata.namespace', rule: 'forbidden', message });
  }
  const filled = namespace ?? wanted ?? DEFAULT_NAMESPACE;
  return { ...resource, metadata: { ...resource.metadata, namespace: filled } };
}

/** What calicoctl does not do to an object of this kind and name. */
export function refusals(resource: Resource, info: KindInfo, action: ManifestAction): Problem[] {
  if (action === 'get' || action === 'validate') return [];
  if (info.kind === 'ClusterInformation')
    return [
      { path: 'kind', rule: 'forbidden', message: 'ClusterInformation is written by the system alone' },
    ];
  const mirrored = MIRRORED_PREFIXES[info.kind];
  if (mirrored !== undefined && resource.metadata.name.startsWith(mirrored)) {
    const message = 'kubernetes network policies must be managed through the kubernetes API: use kubectl';
    return [{ path: 'metadata.name', rule: 'forbidden', message }];
  }
  if (action === 'create' && (resource.metadata.resourceVersion ?? '') !== '') {
    const message = 'must not be set on an object to be created';
    return [{ path: 'metadata.resourceVersion', rule: 'forbidden', message }];
  }
  return [];
}

function modelProblems(resource: Resource): Problem[] {
  return [...unknownProblems(unknownFields(resource)), ...validateResource(applyDefaults(resource))];
}

/** Of fields that a kind does not have. */
export function unknownProblems(paths: readonly string[]): Problem[] {
  const message = 'field in document is not recognized or is in the wrong location';
  return paths.map((path) => ({ path, rule: 'forbidden', message }));
}
