// Deleting by the API's rules (docs/api.md "Deleting"): grace for pods, finalizers, namespaces that empty first.

import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, conflict } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { type ObjectStore, requireWritable } from './object-store.ts';
import { UnreadableObject } from './stored-object.ts';

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly preconditionUid: string | undefined;
  readonly preconditionVersion: string | undefined;
  readonly dryRun: boolean;
}

export interface DeleteResult {
  readonly object: Resource;
  /** False: marked, and gone later. */
  readonly gone: boolean;
}

const MAX_ATTEMPTS = 16;

/** From a DELETE's body (`DeleteOptions`) and query; the body wins. */
export function parseDeleteOptions(body: Record<string, unknown>, query: URLSearchParams): DeleteOptions {
  const preconditions = (body['preconditions'] ?? {}) as Record<string, unknown>;
  const grace = body['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined;
  if (grace !== undefined && !Number.isInteger(Number(grace)))
    throw new ApiError('BadRequest', `invalid gracePeriodSeconds: ${JSON.stringify(grace)}`);
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined;
  return {
    gracePeriodSeconds: grace === undefined ? undefined : Math.max(0, Number(grace)),
    preconditionUid: text(preconditions['uid']),
    preconditionVersion: text(preconditions['resourceVersion']),
    dryRun: Array.isArray(body['dryRun']) ? body['dryRun'].includes('All') : query.get('dryRun') === 'All',
  };
}

export async function deleteObject(
  store: ObjectStore,
  kind: ApiKind,
  namespace: string | undefined,
  name: string,
  options: DeleteOptions,
  now: Date,
): Promise<DeleteResult> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    requireWritable(kind, name);
    const current = await store.getOrUnreadable(kind, namespace, name);
    if (current instanceof UnreadableObject) {
      const deleted = await deleteUnreadable(store, kind, current, options);
      if (deleted !== undefined) return deleted;
      continue;
    }
    checkPreconditions(kind, current, options);
    const grace = graceOf(kind, current, options);
    if (options.dryRun) return { object: current, gone: grace === undefined };
    await kind.rules?.mayDelete(store.datastore, current);
    const last = (await kind.rules?.beforeDelete(store.datastore, current)) ?? current;
    if (grace === undefined) {
      const removed = await store.remove(kind, last);
      if (removed !== undefined) return { object: removed, gone: true };
      continue;
    }
    const object = await store.modify(kind, namespace, name, (latest) => mark(kind, latest, grace, now), {
      part: 'deletion',
    });
    return { object, gone: false };
  }
  throw conflict(kind.group, kind.plural, name);
}

/** What cannot be read can be deleted all the same: that is how one gets rid of it. Nothing goes with it. */
async function deleteUnreadable(
  store: ObjectStore,
  kind: ApiKind,
  { bare }: UnreadableObject,
  options: DeleteOptions,
): Promise<DeleteResult | undefined> {
  checkPreconditions(kind, bare, options);
  if (options.dryRun) return { object: bare, gone: true };
  await kind.rules?.mayDelete(store.datastore, bare);
  const removed = await store.remove(kind, bare);
  return removed && { object: removed, gone: true };
}

function checkPreconditions(kind: ApiKind, current: Resource, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = current.metadata;
  const isOther = options.preconditionUid !== undefined && options.preconditionUid !== uid;
  const isNewer =
    options.preconditionVersion !== undefined && options.preconditionVersion !== resourceVersion;
  if (isOther || isNewer) throw conflict(kind.group, kind.plural, name);
}

/** Seconds that the object is marked for before it goes; undefined: it goes at once. */
function graceOf(kind: ApiKind, current: Resource, options: DeleteOptions): number | undefined {
  const grace = kind.kind === 'Pod' ? podGrace(current, options) : 0;
  const isHeld = kind.kind === 'Namespace' || (current.metadata.finalizers ?? []).length > 0;
  return grace > 0 || isHeld ? grace : undefined;
}

/** A pod that no kubelet runs needs no time to end. */
function podGrace(pod: Resource, options: DeleteOptions): number {
  const spec = (pod.spec ?? {}) as { nodeName?: string; terminationGracePeriodSeconds?: number };
  const { phase } = (pod.status ?? {}) as { phase?: string };
  if (spec.nodeName === undefined || spec.nodeName === '') return 0;
  if (phase === 'Succeeded' || phase === 'Failed') return 0;
  return options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
}

/** A second deletion may shorten the time, never lengthen it. */
function mark(kind: ApiKind, object: Resource, grace: number, now: Date): Resource {
  const { metadata } = object;
  const isSooner = grace < (metadata.deletionGracePeriodSeconds ?? Number.POSITIVE_INFINITY);
  if (metadata.deletionTimestamp !== undefined && !isSooner) return object;
  const deletionTimestamp = formatRfc3339Seconds(now.getTime() + grace * 1000);
  const marked = {
    ...object,
    metadata: { ...metadata, deletionTimestamp, deletionGracePeriodSeconds: grace },
  };
  return kind.kind === 'Namespace' ? { ...marked, status: { phase: 'Terminating' } } : marked;
}
