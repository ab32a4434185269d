// Between a Calico v3 object and its JSON in etcd (Calico's libcalico-go clientv3/resources.go, backend/model/keys.go):
// what is stored beside what the user wrote, and what is taken away again on reading. Pure.

import { isTieredPolicyKind, kindInfo } from '../model/kinds.ts';
import type { ObjectMeta, Resource } from '../model/metadata.ts';
import { readShape } from '../model/validation/shape.ts';

/** Keeps a policy's name as it was given; the keys of Calico up to v3.31 held another. */
const METADATA_ANNOTATION = 'projectcalico.org/metadata';
const TIER_LABEL = 'projectcalico.org/tier';
const NAMESPACE_LABEL = 'projectcalico.org/namespace';
const ORCHESTRATOR_LABEL = 'projectcalico.org/orchestrator';
const DEFAULT_TIER = 'default';

/** The object as its key's value holds it: without resourceVersion, with the labels and annotations that are forced. */
export function toStoredResource<R extends Resource>(resource: R): R {
  const {
    resourceVersion: _version,
    selfLink: _link,
    ...metadata
  } = resource.metadata as ObjectMeta & { selfLink?: string };
  const stored: Resource = {
    kind: resource.kind,
    apiVersion: kindInfo(resource.kind).apiVersion,
    metadata: withForcedLabels(resource, metadata),
    ...(resource.spec === undefined ? {} : { spec: resource.spec }),
    ...(resource.status === undefined ? {} : { status: resource.status }),
  };
  if (isTieredPolicyKind(resource.kind)) {
    const annotation = JSON.stringify({ name: metadata.name });
    stored.metadata.annotations = { ...metadata.annotations, [METADATA_ANNOTATION]: annotation };
  }
  return stored as R;
}

/** What the user sees of a stored object, which may have been written past every check of its fields. */
export function fromStoredResource<R extends Resource>(stored: R): R {
  if (!isTieredPolicyKind(stored.kind)) return stored;
  const { annotations, ...metadata } = stored.metadata;
  const { [METADATA_ANNOTATION]: annotation, ...others } = annotations ?? {};
  const tier = tierOf(stored);
  return {
    ...stored,
    metadata: {
      ...metadata,
      name: annotatedName(annotation) ?? nameFromOldKey(metadata.name, tier),
      labels: { [TIER_LABEL]: tier, ...metadata.labels },
      ...(Object.keys(others).length === 0 ? {} : { annotations: others }),
    },
  };
}

export type StoredReading<R extends Resource> =
  | { readonly ok: true; readonly resource: R }
  /** `reason` in words: `spec.nets must be a list`. */
  | { readonly ok: false; readonly reason: string };

/**
 * The stored value of a key as an object with its resourceVersion, whose fields have the types of its kind: anybody may have
 * written it. What the fields say is not looked at.
 */
export function readStored<R extends Resource = Resource>(
  kind: string,
  value: string,
  modRevision: number,
): StoredReading<R> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return { ok: false, reason: 'it is no JSON' };
  }
  if (!isStoredObject(parsed) || parsed.kind !== kind) return { ok: false, reason: `not a ${kind}` };
  const reason = readShape(parsed);
  if (reason !== undefined) return { ok: false, reason };
  // The key has said what it is: nobody has to repeat the version.
  parsed.apiVersion ??= kindInfo(kind).apiVersion;
  const { metadata, ...rest } = fromStoredResource(parsed);
  const resource = { ...rest, metadata: { ...metadata, resourceVersion: String(modRevision) } };
  return { ok: true, resource: resource as R };
}

/** The same; undefined if it cannot be read. */
export function decodeStored<R extends Resource = Resource>(
  kind: string,
  value: string,
  modRevision: number,
): R | undefined {
  const reading = readStored<R>(kind, value, modRevision);
  return reading.ok ? reading.resource : undefined;
}

/** The value to store. */
export function encodeStored(resource: Resource): string {
  return JSON.stringify(toStoredResource(resource));
}

/** `default` where the policy names none. */
export function tierOf(policy: Resource): string {
  const { spec } = policy;
  const tier = typeof spec === 'object' && spec !== null && 'tier' in spec ? spec.tier : undefined;
  return typeof tier === 'string' && tier !== '' ? tier : DEFAULT_TIER;
}

function withForcedLabels(resource: Resource, metadata: ObjectMeta): ObjectMeta {
  if (isTieredPolicyKind(resource.kind)) {
    return { ...metadata, labels: { ...metadata.labels, [TIER_LABEL]: tierOf(resource) } };
  }
  if (resource.kind !== 'WorkloadEndpoint') return { ...metadata };
  const { spec } = resource;
  const orchestrator =
    typeof spec === 'object' && spec !== null && 'orchestrator' in spec ? spec.orchestrator : undefined;
  return {
    ...metadata,
    labels: {
      ...metadata.labels,
      [NAMESPACE_LABEL]: metadata.namespace ?? '',
      ...(typeof orchestrator === 'string' ? { [ORCHESTRATOR_LABEL]: orchestrator } : {}),
    },
  };
}

function annotatedName(annotation: unknown): string | undefined {
  if (typeof annotation !== 'string') return undefined;
  try {
    const parsed: unknown = JSON.parse(annotation);
    if (typeof parsed !== 'object' || parsed === null || !('name' in parsed)) return undefined;
    return typeof parsed.name === 'string' && parsed.name !== '' ? parsed.name : undefined;
  } catch {
    return undefined;
  }
}

/** Calico up to v3.31 stored `default.<name>` for policies of the default tier. */
function nameFromOldKey(name: string, tier: string): string {
  const prefix = `${DEFAULT_TIER}.`;
  return tier === DEFAULT_TIER && name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

function isStoredObject(value: unknown): value is Resource {
  if (typeof value !== 'object' || value === null) return false;
  if (!('kind' in value) || !('metadata' in value)) return false;
  const { metadata } = value;
  return (
    typeof metadata === 'object' &&
    metadata !== null &&
    'name' in metadata &&
    typeof metadata.name === 'string'
  );
}
