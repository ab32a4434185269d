// Between a key's value in etcd and the object that the API serves. Anybody may have written the value: what is no object is told of
// by its key (docs/api.md "Objects"), and one broken key ends no list of its kind.

import type { KeyValue } from '../../lib/datastore/datastore.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, qualifiedResource } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { apiVersionOf } from './registry.ts';

/** Something is stored that is no object. Reason and cause are those that Kubernetes has for it. */
export class UnreadableObject extends ApiError {
  /** What its key says of it, at the revision at which it was written. */
  readonly bare: Resource;

  constructor(kind: ApiKind, { key, modRevision }: KeyValue, why: string, cause?: unknown) {
    const bare = bareObject(kind, key, modRevision);
    const { name } = bare.metadata;
    const what = `${qualifiedResource(kind.group, kind.plural)} "${name}"`;
    const message = `${what} cannot be read: ${why} (stored in etcd at ${key}, revision ${modRevision}); replace it, or delete it`;
    const causes = [{ reason: 'UnexpectedServerResponse', field: key, message: why }];
    const group = kind.group === '' ? {} : { group: kind.group };
    super('StorageReadError', message, { name, ...group, kind: kind.plural, causes }, { cause });
    this.name = 'UnreadableObject';
    this.bare = bare;
  }
}

/** Throws UnreadableObject. */
export function decodeObject(kind: ApiKind, kv: KeyValue): Resource {
  let stored: unknown;
  try {
    stored = JSON.parse(kv.value);
  } catch (error) {
    throw new UnreadableObject(kind, kv, 'it is no JSON', error);
  }
  if (!isStoredObject(stored)) throw new UnreadableObject(kind, kv, 'it is no object with a name');
  const object = kind.fromStored(stored);
  return withVersion({ ...object, apiVersion: apiVersionOf(kind), kind: kind.kind }, kv.modRevision);
}

export function readObject(kind: ApiKind, kv: KeyValue): Resource | UnreadableObject {
  try {
    return decodeObject(kind, kv);
  } catch (error) {
    if (error instanceof UnreadableObject) return error;
    throw error;
  }
}

export function encodeObject(kind: ApiKind, object: Resource): string {
  const { resourceVersion: _version, ...metadata } = object.metadata;
  return JSON.stringify(kind.toStored({ ...object, metadata }));
}

export function withVersion(object: Resource, revision: number): Resource {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

function bareObject(kind: ApiKind, key: string, revision: number): Resource {
  const [first = '', name = first] = key.slice(kind.prefix.length).split('/');
  const metadata = { name, ...(kind.namespaced ? { namespace: first } : {}) };
  return withVersion({ apiVersion: apiVersionOf(kind), kind: kind.kind, metadata }, revision);
}

function isStoredObject(value: unknown): value is Resource {
  const metadata =
    typeof value === 'object' && value !== null && 'metadata' in value ? value.metadata : undefined;
  return (
    typeof metadata === 'object' &&
    metadata !== null &&
    'name' in metadata &&
    typeof metadata.name === 'string'
  );
}
