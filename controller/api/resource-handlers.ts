// The verbs on objects: get, list, watch, create, update, patch, delete, and the subresources that only touch the store.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EventSink } from '../../lib/events/event.ts';
import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, notFound, successStatus } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { checkUnknownFields, parseBody, toResource } from './body.ts';
import { at } from './columns.ts';
import { deleteObject, parseDeleteOptions } from './deletion.ts';
import { listKindOf } from './discovery.ts';
import { authorize, type User } from './identity.ts';
import type { ListPage, ObjectStore, Selection } from './object-store.ts';
import { applyPatch, requirePatchType } from './patch.ts';
import { findApiKind } from './registry.ts';
import { contentType, isTrue, numberParameter, type ResourceRequest, readBody } from './request.ts';
import { addWarnings, renderingOf, sendJson, sendObject } from './responder.ts';
import { META_V1 } from './schema/schema.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { table } from './tables.ts';
import { watchLines } from './watch.ts';
import type { WatchHub } from './watch-hub.ts';

export interface HandlerContext {
  readonly store: ObjectStore;
  readonly hubs: readonly { readonly root: string; readonly hub: WatchHub }[];
  readonly events: EventSink;
  readonly now: () => Date;
}

export interface Call extends ResourceRequest {
  readonly user: User;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
}

/** Clients take so many bytes of headers. */
const MOST_WARNINGS = 10;
const METADATA_FIELDS = ['metadata.name', 'metadata.namespace'];

function selectionOf({ kind, query, name }: Call): Selection {
  const supported = [...METADATA_FIELDS, ...kind.selectableFields];
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '', supported);
  return {
    labels: parseLabelSelector(query.get('labelSelector') ?? ''),
    fields: name === undefined ? fields : [...fields, { field: 'metadata.name', equal: true, value: name }],
  };
}

export async function handleGet(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, name, query, request, response } = call;
  if (isTrue(query.get('watch'))) return handleWatch(context, call);
  const rendering = renderingOf(request, query);
  if (name !== undefined) {
    const object = await context.store.get(kind, namespace, name);
    sendObject(response, 200, kind, object, rendering, context.now());
    return;
  }
  const page = await context.store.list(kind, namespace, selectionOf(call), {
    limit: numberParameter(query, 'limit') ?? 0,
    continueToken: query.get('continue') ?? undefined,
  });
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continueToken === undefined ? {} : { continue: page.continueToken }),
  };
  addWarnings(response, warningsOf(page));
  if (rendering.asTable) {
    const tableContext = { kind, include: rendering.include, now: context.now() };
    sendJson(response, 200, table(tableContext, page.items, metadata));
  } else sendJson(response, 200, { ...listKindOf(kind), metadata, items: page.items });
}

/** A list goes on without what cannot be read, and says so. */
function warningsOf({ unreadable }: ListPage): readonly string[] {
  const warnings = unreadable.slice(0, MOST_WARNINGS).map(({ message }) => message);
  const more = unreadable.length - warnings.length;
  return more === 0 ? warnings : [...warnings, `${more} more objects cannot be read`];
}

async function handleWatch(context: HandlerContext, call: Call): Promise<void> {
  const { kind, query, request, response } = call;
  const hub = context.hubs.find(({ root }) => kind.prefix.startsWith(root))?.hub;
  if (hub === undefined) throw new ApiError('MethodNotAllowed', `${kind.plural} cannot be watched`);
  const rendering = renderingOf(request, query);
  const timeoutSeconds = numberParameter(query, 'timeoutSeconds');
  const signals = [closeSignal(response)];
  // Who does not even take what was written is not told: it would wait for ever to hear it.
  const letGo = (): void => {
    if (response.writableNeedDrain) response.destroy();
  };
  if (timeoutSeconds !== undefined && timeoutSeconds > 0) signals.push(endOfTime(timeoutSeconds, letGo));
  const lines = watchLines(context.store, hub, {
    kind,
    namespace: call.namespace,
    selection: selectionOf(call),
    resourceVersion: numberParameter(query, 'resourceVersion'),
    sendInitialEvents: isTrue(query.get('sendInitialEvents')),
    allowBookmarks: isTrue(query.get('allowWatchBookmarks')),
    signal: AbortSignal.any(signals),
    onExpired: letGo,
  });
  response.writeHead(200, { 'content-type': 'application/json', vary: 'Accept' });
  response.flushHeaders();
  let isFirst = true;
  for await (const line of lines) {
    const isPlain = !rendering.asTable || line.type === 'BOOKMARK' || line.type === 'ERROR';
    const tableContext = { kind, include: rendering.include, now: context.now() };
    const object = isPlain
      ? line.object
      : table(
          tableContext,
          [line.object as Resource],
          { resourceVersion: at(line.object, 'metadata.resourceVersion') },
          isFirst,
        );
    isFirst &&= isPlain;
    await writeLine(response, `${JSON.stringify({ type: line.type, object })}\n`);
  }
  response.end();
}

function endOfTime(seconds: number, onEnd: () => void): AbortSignal {
  const signal = AbortSignal.timeout(seconds * 1000);
  signal.addEventListener('abort', onEnd, { once: true });
  return signal;
}

function closeSignal(response: ServerResponse): AbortSignal {
  const closed = new AbortController();
  response.on('close', () => closed.abort());
  if (response.destroyed) closed.abort();
  return closed.signal;
}

async function writeLine(response: ServerResponse, line: string): Promise<void> {
  if (response.destroyed || response.write(line)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

export async function handleCreate(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, query, request, response } = call;
  const value = parseBody(await readBody(request), contentType(request), kind.schema);
  const object = toResource(kind, value, namespace, undefined);
  // The URL of a creation has no name: now that it is known, whether the caller may take it.
  const { group, plural: resource } = kind;
  const name = object.metadata.name ?? '';
  authorize(call.user, { verb: 'create', group, resource, subresource: undefined, namespace, name });
  addWarnings(response, checkUnknownFields(kind, value, query.get('fieldValidation')));
  if (kind.namespaced) await requireNamespace(context.store, namespace ?? '');
  const created = await context.store.create(kind, namespace, object, query.get('dryRun') === 'All');
  sendObject(response, 201, kind, created, renderingOf(request, query), context.now());
}

async function requireNamespace(store: ObjectStore, namespace: string): Promise<void> {
  const kind = namespaceKind();
  const found = await store.find(kind, undefined, namespace);
  if (found === undefined) throw notFound('', 'namespaces', namespace);
  if (found.metadata.deletionTimestamp !== undefined)
    throw new ApiError(
      'Forbidden',
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      {
        name: namespace,
        causes: [
          {
            reason: 'NamespaceTerminating',
            message: `namespace ${namespace} is being terminated`,
            field: 'metadata.namespace',
          },
        ],
      },
    );
}

function namespaceKind(): ApiKind {
  const kind = findApiKind('', 'v1', 'namespaces');
  if (kind === undefined) throw new Error('the registry has no Namespace');
  return kind;
}

export async function handleUpdate(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, query, request, response } = call;
  const name = requireName(call);
  const value = parseBody(await readBody(request), contentType(request), kind.schema);
  const object = toResource(kind, value, namespace, name);
  addWarnings(response, checkUnknownFields(kind, value, query.get('fieldValidation')));
  const updated = await context.store.replace(kind, namespace, object, {
    ...partOf(call),
    dryRun: query.get('dryRun') === 'All',
  });
  sendObject(response, 200, kind, updated, renderingOf(request, query), context.now());
}

/** `namespaces/N/finalize` is a plain update of spec.finalizers. */
function partOf({ subresource }: Call): { part?: 'status' } {
  return subresource === 'status' ? { part: 'status' } : {};
}

export async function handlePatch(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, query, request, response } = call;
  const name = requireName(call);
  const type = contentType(request);
  requirePatchType(type);
  const patch = parseBody(await readBody(request), type, undefined);
  if (!Array.isArray(patch))
    addWarnings(response, checkUnknownFields(kind, withoutDirectives(patch), query.get('fieldValidation')));
  const updated = await context.store.modify(
    kind,
    namespace,
    name,
    (current) => applyPatch(kind, current, type, patch),
    { ...partOf(call), dryRun: query.get('dryRun') === 'All' },
  );
  sendObject(response, 200, kind, updated, renderingOf(request, query), context.now());
}

/** `$setElementOrder/…` and its like are the patch's own words, not fields. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !name.startsWith('$'));
  return Object.fromEntries(entries.map(([name, entry]) => [name, withoutDirectives(entry)]));
}

export async function handleDelete(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, query, request, response } = call;
  const name = requireName(call);
  const schema = `${META_V1}.DeleteOptions`;
  const body = parseBody(await readBody(request), contentType(request), schema) as Record<string, unknown>;
  const options = parseDeleteOptions(body, query);
  const { object, gone } = await deleteObject(context.store, kind, namespace, name, options, context.now());
  if (!gone) sendObject(response, 200, kind, object, renderingOf(request, query), context.now());
  else {
    const { uid } = object.metadata;
    const group = kind.group === '' ? {} : { group: kind.group };
    sendJson(
      response,
      200,
      successStatus({ name, ...group, kind: kind.plural, ...(uid === undefined ? {} : { uid }) }),
    );
  }
}

/** POST pods/P/binding: the scheduler's word, taken once. */
export async function handleBinding(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, request, response } = call;
  const name = requireName(call);
  const body = parseBody(await readBody(request), contentType(request), 'api.core.v1.Binding');
  const node = at(body, 'target.name');
  if (typeof node !== 'string' || node === '') throw new ApiError('BadRequest', 'target.name is required');
  await bindPod(context, kind, namespace ?? '', name, node);
  sendJson(response, 201, successStatus({ name, kind: 'pods' }, 201));
}

async function bindPod(
  context: Pick<HandlerContext, 'store' | 'events' | 'now'>,
  kind: ApiKind,
  namespace: string,
  name: string,
  node: string,
): Promise<void> {
  const time = formatRfc3339Seconds(context.now().getTime());
  const bound = await context.store.modify(
    kind,
    namespace,
    name,
    (pod) => {
      const spec = (pod.spec ?? {}) as Record<string, unknown>;
      if (spec['nodeName'] !== undefined && spec['nodeName'] !== '')
        throw new ApiError(
          'Conflict',
          `pod ${name} is already assigned to node ${JSON.stringify(spec['nodeName'])}`,
        );
      const status = (pod.status ?? {}) as Record<string, unknown>;
      const conditions = ((status['conditions'] ?? []) as { type?: string }[]).filter(
        (entry) => entry.type !== 'PodScheduled',
      );
      const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: time };
      return {
        ...pod,
        spec: { ...spec, nodeName: node },
        status: { ...status, conditions: [...conditions, scheduled] },
      };
    },
    { part: 'binding' },
  );
  const revision = Number(bound.metadata.resourceVersion);
  context.events.emit({
    component: 'controller',
    kind: 'podBound',
    object: `Pod/${namespace}/${name}`,
    revision,
    cause: node,
  });
}

/** POST pods/P/eviction: a deletion by another name; there are no disruption budgets. */
export async function handleEviction(context: HandlerContext, call: Call): Promise<void> {
  const { kind, namespace, query, request, response } = call;
  const name = requireName(call);
  const body = parseBody(await readBody(request), contentType(request), 'api.policy.v1.Eviction') as Record<
    string,
    unknown
  >;
  const options = parseDeleteOptions((body['deleteOptions'] ?? {}) as Record<string, unknown>, query);
  await deleteObject(context.store, kind, namespace, name, options, context.now());
  sendJson(response, 201, successStatus({ name, kind: 'pods' }, 201));
}

function requireName(call: Call): string {
  if (call.name === undefined)
    throw new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource');
  return call.name;
}
