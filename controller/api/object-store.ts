// Objects in etcd by the API's rules (docs/api.md "Objects"): resourceVersion is the key's modRevision, every write is one
// compare-and-swap, defaults and checks run on what would be stored.

import type { Datastore, KeyValue } from '../../lib/datastore/datastore.ts';
import type { EventSink } from '../../lib/events/event.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, alreadyExists, conflict, invalid, notFound } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { apiVersionOf, storageKey } from './registry.ts';
import { type FieldSelector, type LabelSelector, matchesFields, matchesLabels } from './selectors.ts';

export interface Selection {
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
}

export interface ListPage {
  readonly items: readonly Resource[];
  readonly revision: number;
  readonly continueToken: string | undefined;
}

export interface StoreOptions {
  readonly datastore: Datastore;
  readonly events: EventSink;
  readonly now: () => Date;
  readonly newUid: () => string;
  /** Five characters for `generateName`. */
  readonly newSuffix: () => string;
}

export interface ModifyOptions {
  /** `status`: only the status may change; undefined: everything but the status of kinds that have the subresource. */
  readonly subresource?: 'status' | 'binding';
  readonly dryRun?: boolean;
}

/** A concurrent writer makes a write without resourceVersion be tried again; so many times. */
const MAX_ATTEMPTS = 16;
const PAGE_KEYS = 500;

export class ObjectStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get datastore(): Datastore {
    return this.#options.datastore;
  }

  async find(kind: ApiKind, namespace: string | undefined, name: string): Promise<Resource | undefined> {
    const { kv } = await this.datastore.get(storageKey(kind, namespace, name));
    return kv === undefined ? undefined : decodeObject(kind, kv);
  }

  async get(kind: ApiKind, namespace: string | undefined, name: string): Promise<Resource> {
    const object = await this.find(kind, namespace, name);
    if (object === undefined) throw notFound(kind.group, kind.plural, name);
    return object;
  }

  /** One page of at most `limit` matching objects (0: all), true at one revision. */
  async list(
    kind: ApiKind,
    namespace: string | undefined,
    selection: Selection,
    page: { readonly limit: number; readonly continueToken: string | undefined },
  ): Promise<ListPage> {
    const prefix = kind.namespaced && namespace !== undefined ? `${kind.prefix}${namespace}/` : kind.prefix;
    const { revision: pinned, after } = parseContinue(page.continueToken);
    const items: Resource[] = [];
    let revision = pinned;
    for await (const { kv, revision: at, isLast } of this.#keys(prefix, pinned, after)) {
      revision = at;
      if (kv === undefined) continue;
      const object = decodeObject(kind, kv);
      if (isSelected(object, selection)) items.push(object);
      if (page.limit > 0 && items.length === page.limit && !isLast)
        return { items, revision: at, continueToken: formatContinue(at, kv.key) };
    }
    return { items, revision: revision ?? 0, continueToken: undefined };
  }

  /** Every key of a prefix at one revision, page by page; one entry without a key says the revision of an empty list. */
  async *#keys(prefix: string, pinned: number | undefined, first: string | undefined) {
    let revision = pinned;
    let after = first;
    for (let hasMore = true; hasMore; ) {
      const result = await this.datastore.list(prefix, {
        limit: PAGE_KEYS,
        ...(revision === undefined ? {} : { revision }),
        ...(after === undefined ? {} : { after }),
      });
      revision ??= result.revision;
      hasMore = result.hasMore && result.items.length > 0;
      if (result.items.length === 0) yield { kv: undefined, revision, isLast: true };
      for (const [index, kv] of result.items.entries())
        yield { kv, revision, isLast: index === result.items.length - 1 && !hasMore };
      after = result.items.at(-1)?.key;
    }
  }

  /** Stores a new object; the name may come from `generateName`. Throws AlreadyExists, Invalid. */
  async create(
    kind: ApiKind,
    namespace: string | undefined,
    object: Resource,
    dryRun = false,
  ): Promise<Resource> {
    const prepared = this.#prepareNew(kind, namespace, object);
    const { name } = prepared.metadata;
    check(kind, prepared, undefined);
    const key = storageKey(kind, namespace, name);
    if (dryRun) {
      if ((await this.datastore.get(key)).kv !== undefined)
        throw alreadyExists(kind.group, kind.plural, name);
      return prepared;
    }
    const value = encodeObject(kind, prepared);
    const lease = kind.ttlSeconds === undefined ? undefined : await this.#leaseFor(kind.ttlSeconds);
    const { succeeded, revision } = await this.datastore.transact({
      compare: [{ key, modRevision: 0 }],
      success: [{ type: 'put', key, value, ...(lease === undefined ? {} : { lease }) }],
    });
    if (!succeeded) throw alreadyExists(kind.group, kind.plural, name);
    this.#emitStored(kind, prepared, revision, 'created');
    return withVersion(prepared, revision);
  }

  /** Reads, changes and writes back; a transform that gives back what it got writes nothing. */
  async modify(
    kind: ApiKind,
    namespace: string | undefined,
    name: string,
    transform: (current: Resource) => Resource,
    options: ModifyOptions = {},
  ): Promise<Resource> {
    const key = storageKey(kind, namespace, name);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { kv } = await this.datastore.get(key);
      if (kv === undefined) throw notFound(kind.group, kind.plural, name);
      const current = decodeObject(kind, kv);
      const wanted = transform(structuredClone(current));
      const wantedVersion = wanted.metadata.resourceVersion;
      const isPinned = wantedVersion !== undefined && wantedVersion !== '';
      if (isPinned && wantedVersion !== current.metadata.resourceVersion)
        throw conflict(kind.group, kind.plural, name);
      if (wanted.metadata.uid !== undefined && wanted.metadata.uid !== current.metadata.uid)
        throw conflict(kind.group, kind.plural, name);
      const next = nextVersion(kind, current, wanted, options.subresource);
      check(kind, next, options.subresource === undefined ? current : undefined);
      if (isSameJson(next, current)) return current;
      if (options.dryRun === true) return next;
      const written = await this.#swap(kind, kv, next);
      if (written !== undefined) return written;
    }
    throw conflict(kind.group, kind.plural, name);
  }

  /** Deletes what is stored now; undefined if somebody was quicker. */
  async remove(kind: ApiKind, object: Resource): Promise<Resource | undefined> {
    const { namespace, name, resourceVersion } = object.metadata;
    const key = storageKey(kind, namespace, name);
    const { succeeded, revision } = await this.datastore.transact({
      compare: [{ key, modRevision: Number(resourceVersion) }],
      success: [{ type: 'delete', key }],
    });
    if (!succeeded) return undefined;
    this.#emitStored(kind, object, revision, 'deleted');
    return withVersion(object, revision);
  }

  async #swap(kind: ApiKind, kv: KeyValue, next: Resource): Promise<Resource | undefined> {
    const isEnded = next.metadata.deletionTimestamp !== undefined && isFinalized(kind, next);
    const { succeeded, revision } = await this.datastore.transact({
      compare: [{ key: kv.key, modRevision: kv.modRevision }],
      success: [
        isEnded
          ? { type: 'delete', key: kv.key }
          : { type: 'put', key: kv.key, value: encodeObject(kind, next) },
      ],
    });
    if (!succeeded) return undefined;
    this.#emitStored(kind, next, revision, isEnded ? 'deleted' : 'updated');
    return withVersion(next, revision);
  }

  #prepareNew(kind: ApiKind, namespace: string | undefined, object: Resource): Resource {
    if (object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== '')
      throw new ApiError('BadRequest', 'resourceVersion should not be set on objects to be created');
    const { status: _status, ...withoutStatus } = object;
    const { generateName, ...metadata } = cleanMetadata(object);
    const isNamed = metadata.name !== undefined && metadata.name !== '';
    if (!isNamed && (generateName === undefined || generateName === ''))
      throw invalid(kind.group, kind.kind, '', [
        {
          reason: 'FieldValueRequired',
          field: 'metadata.name',
          message: 'Required value: name or generateName is required',
        },
      ]);
    const name = isNamed ? metadata.name : `${generateName ?? ''}${this.#options.newSuffix()}`;
    return kind.withDefaults({
      // A Node or an Event is written whole by whom it belongs to; of others the server owns the status.
      ...(kind.kind === 'Node' && object.status !== undefined ? object : withoutStatus),
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata: {
        ...metadata,
        name,
        ...(generateName === undefined ? {} : { generateName }),
        ...(kind.namespaced && namespace !== undefined ? { namespace } : {}),
        uid: this.#options.newUid(),
        creationTimestamp: wholeSeconds(this.#options.now()),
        generation: 1,
      },
    });
  }

  async #leaseFor(ttlSeconds: number): Promise<string> {
    return (await this.datastore.grantLease(ttlSeconds, { keepAlive: false })).id;
  }

  #emitStored(kind: ApiKind, object: Resource, revision: number, cause: string): void {
    if (kind.kind === 'Event' || kind.kind === 'Lease') return;
    const { namespace, name } = object.metadata;
    const path = namespace === undefined ? `${kind.kind}/${name}` : `${kind.kind}/${namespace}/${name}`;
    this.#options.events.emit({
      component: 'controller',
      kind: 'objectStored',
      object: path,
      revision,
      cause,
    });
  }
}

/** RFC 3339 without fractions, as Kubernetes writes its timestamps. */
export function wholeSeconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

export function decodeObject(kind: ApiKind, kv: KeyValue): Resource {
  let stored: Resource;
  try {
    stored = JSON.parse(kv.value) as Resource;
  } catch (error) {
    throw new ApiError('InternalError', `the value of ${kv.key} is not JSON`, undefined, { cause: error });
  }
  const object = kind.fromStored(stored);
  return withVersion({ ...object, apiVersion: apiVersionOf(kind), kind: kind.kind }, kv.modRevision);
}

function encodeObject(kind: ApiKind, object: Resource): string {
  const { resourceVersion: _version, ...metadata } = object.metadata;
  return JSON.stringify(kind.toStored({ ...object, metadata }));
}

function withVersion(object: Resource, revision: number): Resource {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

export function isSelected(object: Resource, selection: Selection): boolean {
  return matchesLabels(selection.labels, object.metadata.labels) && matchesFields(selection.fields, object);
}

function check(kind: ApiKind, object: Resource, previous: Resource | undefined): void {
  const causes = kind.validate(object, previous);
  if (causes.length > 0) throw invalid(kind.group, kind.kind, object.metadata.name, causes);
}

/** Client-side noise that is never stored. */
function cleanMetadata(object: Resource): Resource['metadata'] {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const name of [
    'managedFields',
    'selfLink',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'creationTimestamp',
    'uid',
  ])
    delete metadata[name];
  return metadata as unknown as Resource['metadata'];
}

/** What the server owns stays: identity, times, generation; and the half of the object that this path may not write. */
function nextVersion(
  kind: ApiKind,
  current: Resource,
  wanted: Resource,
  subresource: ModifyOptions['subresource'],
): Resource {
  const owned = current.metadata;
  const metadata: Record<string, unknown> = {
    ...(subresource === 'status' ? { ...owned, ...pickMutable(wanted, owned) } : wanted.metadata),
    name: owned.name,
    uid: owned.uid,
    creationTimestamp: owned.creationTimestamp,
    generation: owned.generation,
    resourceVersion: owned.resourceVersion,
  };
  delete metadata['managedFields'];
  if (owned.namespace !== undefined) metadata['namespace'] = owned.namespace;
  for (const name of ['deletionTimestamp', 'deletionGracePeriodSeconds'] as const)
    if (owned[name] === undefined && wanted.metadata[name] !== undefined && subresource === undefined)
      metadata[name] = wanted.metadata[name];
  const body: Resource = {
    ...wanted,
    metadata: metadata as unknown as Resource['metadata'],
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
  };
  const merged = mergeHalves(kind, current, body, subresource);
  const next = kind.withDefaults(merged);
  if (!isSameJson(next.spec, current.spec))
    next.metadata = { ...next.metadata, generation: (owned.generation ?? 0) + 1 };
  return next;
}

function pickMutable(wanted: Resource, owned: Resource['metadata']): object {
  return {
    ...(wanted.metadata.labels === undefined ? {} : { labels: owned.labels ?? {} }),
    ...(wanted.metadata.annotations === undefined ? {} : { annotations: wanted.metadata.annotations }),
  };
}

function mergeHalves(
  kind: ApiKind,
  current: Resource,
  body: Resource,
  subresource: ModifyOptions['subresource'],
): Resource {
  if (subresource === 'status') {
    const { status: _status, ...rest } = current;
    return {
      ...rest,
      metadata: body.metadata,
      ...(body.status === undefined ? {} : { status: body.status }),
    };
  }
  if (!kind.hasStatus || subresource === 'binding') return body;
  const { status: _status, ...rest } = body;
  return { ...rest, ...(current.status === undefined ? {} : { status: current.status }) };
}

function isFinalized(kind: ApiKind, object: Resource): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (kind.kind === 'Namespace')
    return ((object.spec as { finalizers?: string[] } | undefined)?.finalizers ?? []).length === 0;
  return kind.kind !== 'Pod';
}

function formatContinue(revision: number, key: string): string {
  return Buffer.from(JSON.stringify([revision, key])).toString('base64url');
}

function parseContinue(token: string | undefined): {
  revision: number | undefined;
  after: string | undefined;
} {
  if (token === undefined || token === '') return { revision: undefined, after: undefined };
  try {
    const [revision, after] = JSON.parse(Buffer.from(token, 'base64url').toString()) as [unknown, unknown];
    if (typeof revision === 'number' && typeof after === 'string') return { revision, after };
  } catch {
    // falls through: whatever it was, it is none of our tokens
  }
  throw new ApiError('BadRequest', 'continue key is not valid');
}
