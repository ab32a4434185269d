// What a write makes of an object (pure; docs/api.md "Objects"): the server's own fields stay the server's, each path writes
// its half alone, defaults are filled, the generation counts changes of the spec.

import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { ApiKind } from './api-kind.ts';
import { apiVersionOf } from './registry.ts';

/**
 * Undefined: everything but the status of kinds that have that subresource. `status`: the status alone, with annotations.
 * `binding`: spec and status together. `deletion`: besides, the marks of a deletion.
 */
export type WrittenPart = 'status' | 'binding' | 'deletion' | undefined;

/** Never taken from a client. */
const SERVER_FIELDS = [
  'managedFields',
  'selfLink',
  'resourceVersion',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'creationTimestamp',
  'uid',
  'generation',
] as const;

/** Metadata as a client may set it on a new object. */
export function clientMetadata(object: Resource): Resource['metadata'] {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const name of SERVER_FIELDS) delete metadata[name];
  return metadata as unknown as Resource['metadata'];
}

export function nextVersion(kind: ApiKind, current: Resource, wanted: Resource, part: WrittenPart): Resource {
  const merged = mergeHalves(
    kind,
    current,
    {
      ...wanted,
      metadata: nextMetadata(current, wanted, part),
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
    },
    part,
  );
  const next = kind.withDefaults(merged);
  if (isSameJson(next.spec, current.spec)) return next;
  return { ...next, metadata: { ...next.metadata, generation: (current.metadata.generation ?? 0) + 1 } };
}

function nextMetadata(current: Resource, wanted: Resource, part: WrittenPart): Resource['metadata'] {
  const owned: Record<string, unknown> = { ...current.metadata };
  if (part === 'status') {
    const { annotations } = wanted.metadata;
    return {
      ...current.metadata,
      ...(annotations === undefined || annotations === null ? {} : { annotations }),
    };
  }
  const metadata: Record<string, unknown> = { ...wanted.metadata, name: current.metadata.name };
  const kept =
    part === 'deletion' ? SERVER_FIELDS.filter((name) => !name.startsWith('deletion')) : SERVER_FIELDS;
  for (const name of [...kept, 'namespace'])
    if (owned[name] === undefined) delete metadata[name];
    else metadata[name] = owned[name];
  return metadata as unknown as Resource['metadata'];
}

function mergeHalves(kind: ApiKind, current: Resource, body: Resource, part: WrittenPart): Resource {
  if (part === 'status') {
    const { status: _status, ...rest } = current;
    return {
      ...rest,
      metadata: body.metadata,
      ...(body.status === undefined ? {} : { status: body.status }),
    };
  }
  if (!kind.hasStatus || part !== undefined) return body;
  const { status: _status, ...rest } = body;
  return { ...rest, ...(current.status === undefined ? {} : { status: current.status }) };
}

/** True once nothing holds a marked object any more, and the write that says so deletes it. */
export function isFinalized(kind: ApiKind, object: Resource): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  if (deletionTimestamp === undefined || (finalizers ?? []).length > 0) return false;
  if (kind.kind === 'Namespace')
    return ((object.spec as { finalizers?: string[] } | undefined)?.finalizers ?? []).length === 0;
  // A pod goes when its kubelet has ended it, which it says by a deletion without grace.
  return kind.kind !== 'Pod' || (deletionGracePeriodSeconds ?? 0) === 0;
}
