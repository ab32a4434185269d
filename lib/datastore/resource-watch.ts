// Watch events of keys as events of Calico objects (libcalico-go backend/etcdv3/watcher.go).

import { listPrefix, parseResourceKey, type ResourceKey } from '../model/keys.ts';
import type { Resource } from '../model/metadata.ts';
import type { Datastore, KeyValue, WatchEvent } from './datastore.ts';
import type { ResourceEvent, WatchOptions } from './resource-access.ts';
import { decodeStored } from './stored-form.ts';

export async function* watchResources<R extends Resource>(
  datastore: Datastore,
  kind: string,
  options: WatchOptions,
): AsyncGenerator<ResourceEvent<R>> {
  const { namespace, signal } = options;
  const prefix = listPrefix(kind, namespace);
  let { fromRevision } = options;
  if (fromRevision === undefined) {
    const { items, revision } = await datastore.list(prefix, { signal });
    for (const kv of items) {
      const event = putEvent<R>(kind, kv, undefined, 'added');
      if (event !== undefined) yield event;
    }
    yield { type: 'progress', revision };
    fromRevision = revision + 1;
  }
  for await (const batch of datastore.watch(prefix, { fromRevision, signal })) {
    for (const event of batch.events) {
      const resourceEvent = toResourceEvent<R>(kind, event);
      if (resourceEvent !== undefined) yield resourceEvent;
    }
    yield { type: 'progress', revision: batch.revision };
  }
}

function toResourceEvent<R extends Resource>(kind: string, event: WatchEvent): ResourceEvent<R> | undefined {
  if (event.type === 'put') {
    const isNew = event.kv.createRevision === event.kv.modRevision;
    return putEvent<R>(kind, event.kv, event.previous, isNew ? 'added' : 'modified');
  }
  const ref = refOfKey(kind, event.key);
  if (ref === undefined) return undefined;
  return { type: 'deleted', ref, previous: decode<R>(kind, event.previous), revision: event.revision };
}

function putEvent<R extends Resource>(
  kind: string,
  kv: KeyValue,
  previousKv: KeyValue | undefined,
  type: 'added' | 'modified',
): ResourceEvent<R> | undefined {
  const ref = refOfKey(kind, kv.key);
  if (ref === undefined) return undefined;
  const revision = kv.modRevision;
  const resource = decode<R>(kind, kv);
  if (resource === undefined) return { type: 'unparsable', ref, revision };
  const previous = decode<R>(kind, previousKv);
  return { type, ref, resource, previous, revision };
}

/** Keys under the prefix that name no object (too deep) are nobody's business. */
function refOfKey(kind: string, key: string): ResourceKey | undefined {
  const ref = parseResourceKey(key);
  return ref?.kind === kind ? ref : undefined;
}

function decode<R extends Resource>(kind: string, kv: KeyValue | undefined): R | undefined {
  return kv === undefined ? undefined : decodeStored<R>(kind, kv.value, kv.modRevision);
}
