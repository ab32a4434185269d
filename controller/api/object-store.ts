// Objects in etcd by the API's rules (docs/api.md "Objects"): resourceVersion is the key's modRevision, every write is one
// compare-and-swap, defaults and checks run on what would be stored.

import { compareAndWrite } from '../../lib/datastore/compare-and-write.ts';
import type { Datastore, KeyValue } from '../../lib/datastore/datastore.ts';
import type { EventSink } from '../../lib/events/event.ts';
import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, alreadyExists, conflict, invalid, notFound, qualifiedResource } from './api-error.ts';
import type { ApiKind } from './api-kind.ts';
import { clientMetadata, isFinalized, nextVersion, type WrittenPart } from './next-version.ts';
import { requireShape } from './object-shape.ts';
import { apiVersionOf, storageKey } from './registry.ts';
import { type FieldSelector, type LabelSelector, matchesFields, matchesLabels } from './selectors.ts';
import { decodeObject, encodeObject, readObject, UnreadableObject, withVersion } from './stored-object.ts';

export interface Selection {
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
}

export interface ListPage {
  readonly items: readonly Resource[];
  /** What is stored and is no object, where its name is not asked to be another. */
  readonly unreadable: readonly UnreadableObject[];
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
  readonly part?: WrittenPart;
  readonly dryRun?: boolean;
}

/** A concurrent writer makes a write without resourceVersion be tried again; so many times. */
const MAX_ATTEMPTS = 16;
/** Reading any key tells the store's revision. */
const REVISION_KEY = '/calico-ts/api/owner';
const PAGE_KEYS = 500;
/** Objects that expire share a lease for so long. */
const LEASE_SHARED_MS = 60_000;

export class ObjectStore {
  readonly #options: StoreOptions;
  readonly #leases = new Map<number, { readonly id: string; readonly until: number }>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get datastore(): Datastore {
    return this.#options.datastore;
  }

  /** Newest revision of the store. */
  async revision(): Promise<number> {
    return (await this.datastore.get(REVISION_KEY)).revision;
  }

  async find(kind: ApiKind, namespace: string | undefined, name: string): Promise<Resource | undefined> {
    const found = await this.#read(kind, namespace, name);
    if (found instanceof UnreadableObject) throw found;
    return found;
  }

  /** Throws NotFound, UnreadableObject. */
  async get(kind: ApiKind, namespace: string | undefined, name: string): Promise<Resource> {
    const object = await this.find(kind, namespace, name);
    if (object === undefined) throw notFound(kind.group, kind.plural, name);
    return object;
  }

  /** Throws NotFound. */
  async getOrUnreadable(
    kind: ApiKind,
    namespace: string | undefined,
    name: string,
  ): Promise<Resource | UnreadableObject> {
    const found = await this.#read(kind, namespace, name);
    if (found === undefined) throw notFound(kind.group, kind.plural, name);
    return found;
  }

  async #read(
    kind: ApiKind,
    namespace: string | undefined,
    name: string,
  ): Promise<Resource | UnreadableObject | undefined> {
    const builtIn = kind.rules?.builtIn.find(({ metadata }) => metadata.name === name);
    if (builtIn !== undefined) return structuredClone(builtIn);
    const { kv } = await this.datastore.get(storageKey(kind, namespace, name));
    return kv === undefined ? undefined : readObject(kind, kv);
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
    const items: Resource[] = after === undefined ? selectedBuiltIns(kind, selection) : [];
    const unreadable: UnreadableObject[] = [];
    let revision = pinned;
    for await (const { kv, revision: at, isLast } of this.#keys(prefix, pinned, after)) {
      revision = at;
      if (kv === undefined) continue;
      const object = readObject(kind, kv);
      if (object instanceof UnreadableObject) {
        if (isNamed(object.bare, selection)) unreadable.push(object);
      } else if (isSelected(object, selection)) items.push(object);
      if (page.limit > 0 && items.length === page.limit && !isLast)
        return { items, unreadable, revision: at, continueToken: formatContinue(at, kv.key) };
    }
    return { items, unreadable, revision: revision ?? 0, continueToken: undefined };
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
    await kind.rules?.beforeCreate(this.datastore, prepared);
    const key = storageKey(kind, namespace, name);
    const isTaken = dryRun && (await this.datastore.get(key)).kv !== undefined;
    if (isTaken || isBuiltIn(kind, name)) throw alreadyExists(kind.group, kind.plural, name);
    if (dryRun) return prepared;
    const written = await this.#write(kind, key, encodeObject(kind, prepared), 0);
    if (written === undefined) throw alreadyExists(kind.group, kind.plural, name);
    this.#emitStored(kind, prepared, written, 'created');
    return withVersion(prepared, written);
  }

  /** A whole object in the place of what is stored, as a new one where that cannot be read. */
  async replace(
    kind: ApiKind,
    namespace: string | undefined,
    object: Resource,
    options: ModifyOptions = {},
  ): Promise<Resource> {
    try {
      return await this.modify(kind, namespace, object.metadata.name, () => object, options);
    } catch (error) {
      if (!(error instanceof UnreadableObject) || options.part !== undefined) throw error;
      return await this.#overwrite(kind, namespace, object, error.bare, options);
    }
  }

  /** What cannot be read tells neither identity nor what may not change. */
  async #overwrite(
    kind: ApiKind,
    namespace: string | undefined,
    { metadata: { resourceVersion = '', ...metadata }, ...rest }: Resource,
    bare: Resource,
    { dryRun = false }: ModifyOptions,
  ): Promise<Resource> {
    const stored = bare.metadata.resourceVersion;
    if (resourceVersion !== '' && resourceVersion !== stored)
      throw conflict(kind.group, kind.plural, metadata.name);
    const prepared = this.#prepareNew(kind, namespace, { ...rest, metadata });
    check(kind, prepared, undefined);
    await kind.rules?.beforeCreate(this.datastore, prepared);
    if (dryRun) return prepared;
    const key = storageKey(kind, namespace, metadata.name);
    const written = await this.#write(kind, key, encodeObject(kind, prepared), Number(stored));
    if (written === undefined) throw conflict(kind.group, kind.plural, metadata.name);
    this.#emitStored(kind, prepared, written, 'updated');
    return withVersion(prepared, written);
  }

  /** Reads, changes and writes back; a transform that gives back what it got writes nothing. */
  async modify(
    kind: ApiKind,
    namespace: string | undefined,
    name: string,
    transform: (current: Resource) => Resource,
    options: ModifyOptions = {},
  ): Promise<Resource> {
    requireWritable(kind, name);
    const key = storageKey(kind, namespace, name);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { kv } = await this.datastore.get(key);
      if (kv === undefined) throw notFound(kind.group, kind.plural, name);
      const current = decodeObject(kind, kv);
      const wanted = transform(structuredClone(current));
      requireShape(kind, wanted);
      const wantedVersion = wanted.metadata.resourceVersion;
      const isPinned = wantedVersion !== undefined && wantedVersion !== '';
      if (isPinned && wantedVersion !== current.metadata.resourceVersion)
        throw conflict(kind.group, kind.plural, name);
      if (wanted.metadata.uid !== undefined && wanted.metadata.uid !== current.metadata.uid)
        throw conflict(kind.group, kind.plural, name);
      const next = nextVersion(kind, current, wanted, options.part);
      // A status or a deletion may have to be written of what an older version of this program accepted.
      if (options.part === undefined) check(kind, next, current);
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
    const revision = await this.#write(kind, key, undefined, Number(resourceVersion));
    if (revision === undefined) return undefined;
    this.#emitStored(kind, object, revision, 'deleted');
    return withVersion(object, revision);
  }

  async #swap(kind: ApiKind, kv: KeyValue, next: Resource): Promise<Resource | undefined> {
    const isEnded = isFinalized(kind, next);
    const value = isEnded ? undefined : encodeObject(kind, next);
    const revision = await this.#write(kind, kv.key, value, kv.modRevision);
    if (revision === undefined) return undefined;
    this.#emitStored(kind, next, revision, isEnded ? 'deleted' : 'updated');
    return withVersion(next, revision);
  }

  /** The revision of the write; undefined if the key was not at `modRevision`. */
  async #write(
    kind: ApiKind,
    key: string,
    value: string | undefined,
    modRevision: number,
  ): Promise<number | undefined> {
    if (kind.ttlSeconds === undefined || value === undefined) {
      const outcome = await compareAndWrite(this.datastore, key, value, modRevision);
      return outcome.written ? outcome.revision : undefined;
    }
    const lease = await this.#leaseFor(kind.ttlSeconds);
    const { succeeded, revision } = await this.datastore.transact({
      compare: [{ key, modRevision }],
      success: [{ type: 'put', key, value, lease }],
    });
    return succeeded ? revision : undefined;
  }

  #prepareNew(kind: ApiKind, namespace: string | undefined, object: Resource): Resource {
    requireShape(kind, object);
    if (object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== '')
      throw new ApiError('BadRequest', 'resourceVersion should not be set on objects to be created');
    const { status: _status, ...withoutStatus } = object;
    const { generateName, ...metadata } = clientMetadata(object);
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
        creationTimestamp: formatRfc3339Seconds(this.#options.now().getTime()),
        generation: 1,
      },
    });
  }

  /** Lasts at least `ttlSeconds` from now. */
  async #leaseFor(ttlSeconds: number): Promise<string> {
    const nowMs = this.#options.now().getTime();
    const known = this.#leases.get(ttlSeconds);
    if (known !== undefined && nowMs < known.until && nowMs >= known.until - LEASE_SHARED_MS) return known.id;
    const lease = await this.datastore.grantLease(ttlSeconds + LEASE_SHARED_MS / 1000, { keepAlive: false });
    this.#leases.set(ttlSeconds, { id: lease.id, until: nowMs + LEASE_SHARED_MS });
    return lease.id;
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

/** Labels and fields of what cannot be read are not known; its name is. */
function isNamed(bare: Resource, { fields }: Selection): boolean {
  return matchesFields(
    fields.filter(({ field }) => field.startsWith('metadata.')),
    bare,
  );
}

export function isSelected(object: Resource, selection: Selection): boolean {
  return matchesLabels(selection.labels, object.metadata.labels) && matchesFields(selection.fields, object);
}

function isBuiltIn(kind: ApiKind, name: string): boolean {
  return kind.rules?.builtIn.some(({ metadata }) => metadata.name === name) ?? false;
}

/** Throws Forbidden for what exists without being stored. */
export function requireWritable(kind: ApiKind, name: string): void {
  if (!isBuiltIn(kind, name)) return;
  const what = `${qualifiedResource(kind.group, kind.plural)} ${JSON.stringify(name)}`;
  throw new ApiError('Forbidden', `${what} is built in: it can be neither changed nor deleted`);
}

function selectedBuiltIns(kind: ApiKind, selection: Selection): Resource[] {
  const selected = (kind.rules?.builtIn ?? []).filter((object) => isSelected(object, selection));
  return structuredClone(selected) as Resource[];
}

function check(kind: ApiKind, object: Resource, previous: Resource | undefined): void {
  const causes = kind.validate(object, previous);
  if (causes.length > 0) throw invalid(kind.group, kind.kind, object.metadata.name, causes);
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
