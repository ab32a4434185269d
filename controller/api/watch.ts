// A client's watch: list state first if asked, then events as lines of JSON, with the selector applied to what an object
// was and is, so that leaving the selection is DELETED and entering it ADDED.

import type { KeyValue, WatchEvent } from '../../lib/datastore/datastore.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { isSelected, type ObjectStore, type Selection } from './object-store.ts';
import { apiVersionOf } from './registry.ts';
import { readObject, UnreadableObject } from './stored-object.ts';
import type { WatchHub } from './watch-hub.ts';

export interface WatchRequest {
  readonly kind: ApiKind;
  readonly namespace: string | undefined;
  readonly selection: Selection;
  /** Undefined or 0: the present state first. */
  readonly resourceVersion: number | undefined;
  readonly sendInitialEvents: boolean;
  readonly allowBookmarks: boolean;
  readonly signal: AbortSignal;
  /** The client is too slow: what it has not taken is let go, and it is told to list again. */
  readonly onExpired?: () => void;
}

export type WatchLineType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
export interface WatchLine {
  readonly type: WatchLineType;
  readonly object: Resource | Record<string, unknown>;
}

/** Lines until the signal aborts; a history that is gone gives an ERROR line of code 410 and the end. */
export async function* watchLines(
  store: ObjectStore,
  hub: WatchHub,
  request: WatchRequest,
): AsyncGenerator<WatchLine> {
  try {
    const start = request.resourceVersion ?? 0;
    const isFromState = start === 0 || request.sendInitialEvents;
    const revision = isFromState ? yield* presentState(store, request) : start;
    // A revision that is still to come is of another etcd, or of this one before it was restored.
    if (revision > hub.revision && revision > (await store.revision()))
      throw new ApiError('Expired', `too large resource version: ${revision}`);
    yield* changes(hub, request, revision);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    yield { type: 'ERROR', object: { ...error.toStatus() } };
  }
}

/** Gives back the revision at which the state is true. */
async function* presentState(store: ObjectStore, request: WatchRequest): AsyncGenerator<WatchLine, number> {
  const { kind, namespace, selection } = request;
  const page = await store.list(kind, namespace, selection, { limit: 0, continueToken: undefined });
  for (const object of page.items) yield { type: 'ADDED', object };
  if (request.sendInitialEvents) yield bookmark(kind, page.revision, { 'k8s.io/initial-events-end': 'true' });
  return page.revision;
}

async function* changes(hub: WatchHub, request: WatchRequest, from: number): AsyncGenerator<WatchLine> {
  const { kind, namespace, selection } = request;
  const prefix = kind.namespaced && namespace !== undefined ? `${kind.prefix}${namespace}/` : kind.prefix;
  let bookmarked = from;
  for await (const item of hub.subscribe(prefix, from, request.signal, request.onExpired)) {
    if (item.event !== undefined) {
      const line = toLine(kind, selection, item.event);
      if (line !== undefined) yield line;
    } else if (request.allowBookmarks && item.revision > bookmarked) {
      bookmarked = item.revision;
      yield bookmark(kind, item.revision);
    }
  }
}

function bookmark(kind: ApiKind, revision: number, annotations?: Record<string, string>): WatchLine {
  const metadata = {
    resourceVersion: String(revision),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return { type: 'BOOKMARK', object: { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata } };
}

function at(object: Resource, revision: number): Resource {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

function toLine(kind: ApiKind, selection: Selection, event: WatchEvent): WatchLine | undefined {
  const before = event.previous === undefined ? undefined : readableObject(kind, event.previous);
  const wasSelected = before !== undefined && isSelected(before, selection);
  if (event.type === 'put') {
    const object = readableObject(kind, event.kv);
    if (object !== undefined && isSelected(object, selection))
      return { type: wasSelected ? 'MODIFIED' : 'ADDED', object };
    return wasSelected ? { type: 'DELETED', object: object ?? at(before, event.kv.modRevision) } : undefined;
  }
  // The object of a deletion carries the revision of the deletion.
  return wasSelected ? { type: 'DELETED', object: at(before, event.revision) } : undefined;
}

/** What turns unreadable leaves the watch as if it were deleted. */
function readableObject(kind: ApiKind, kv: KeyValue): Resource | undefined {
  const object = readObject(kind, kv);
  return object instanceof UnreadableObject ? undefined : object;
}
