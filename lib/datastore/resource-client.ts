// Calico's v3 resources on the key-value store, as Calico's own client keeps them (libcalico-go/lib/clientv3): identity,
// versions, forced labels, and the rules of single kinds.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { keyForResource, listPrefix, parseResourceKey, type ResourceKey } from '../model/keys.ts';
import { findKind, kindInfo } from '../model/kinds.ts';
import type { Resource } from '../model/metadata.ts';
import { applyDefaults } from '../model/validation/defaults.ts';
import type { Problem } from '../model/validation/problem.ts';
import { validateResource, validateUpdate } from '../model/validation/validate.ts';
import { compareAndWrite } from './compare-and-write.ts';
import type { Datastore, KeyValue } from './datastore.ts';
import {
  beforeCreate,
  beforeDelete,
  DEFAULT_ALLOW_PROFILE,
  hasImmutableFields,
  isDefaultAllowProfile,
} from './kind-rules.ts';
import type {
  DeleteOptions,
  ListOptions,
  ResourceAccess,
  ResourceEvent,
  ResourceList,
  UnreadableValue,
  WatchOptions,
} from './resource-access.ts';
import { isResourceError, ResourceError } from './resource-error.ts';
import { watchResources } from './resource-watch.ts';
import { decodeStored, encodeStored, readStored } from './stored-form.ts';

export interface ResourceClientOptions {
  readonly datastore: Datastore;
  /** The time of day, for creation timestamps. */
  readonly now?: () => Date;
  readonly newUid?: () => string;
}

export interface ApplyResult<R extends Resource> {
  readonly resource: R;
  readonly outcome: 'created' | 'configured' | 'unchanged';
}

/** Attempts of what the caller did not tie to a version, against others who write the same object. */
const CONFLICT_ATTEMPTS = 5;

export class ResourceClient implements ResourceAccess {
  readonly #datastore: Datastore;
  readonly #now: () => Date;
  readonly #newUid: () => string;

  constructor(options: ResourceClientOptions) {
    this.#datastore = options.datastore;
    this.#now = options.now ?? (() => new Date());
    this.#newUid = options.newUid ?? randomUUID;
  }

  async create<R extends Resource>(resource: R, signal?: AbortSignal): Promise<R> {
    const { object, ref } = prepare(resource, createProblems);
    if (isDefaultAllowProfile(ref)) {
      throw new ResourceError({ code: 'alreadyExists', ref, existing: DEFAULT_ALLOW_PROFILE });
    }
    const outcome = await this.#writeNew(ref, object, 0, signal);
    if (outcome.written) return outcome.resource;
    const existing = decodedOrUndefined(ref, outcome.current);
    throw new ResourceError({ code: 'alreadyExists', ref, ...(existing === undefined ? {} : { existing }) });
  }

  async update<R extends Resource>(resource: R, signal?: AbortSignal): Promise<R> {
    const { object, ref } = prepare(resource, updateProblems);
    refuseDefaultAllow(ref, 'updated');
    await this.#checkUpdate(ref, object, signal);
    const value = encodeStored(object);
    const modRevision = Number(object.metadata.resourceVersion);
    const outcome = await compareAndWrite(this.#datastore, keyOf(ref), value, modRevision, signal);
    if (outcome.written) return decoded<R>(ref, value, outcome.revision);
    throw refusal(ref, outcome.current);
  }

  /** As upstream on etcd, the whole object is written. */
  async updateStatus<R extends Resource>(resource: R, signal?: AbortSignal): Promise<R> {
    return this.update(resource, signal);
  }

  /**
   * Creates it, or replaces what is there: the version that `resourceVersion` names, or whatever is the newest. Nothing is
   * written when nothing would change. Over what cannot be read it is written as a new object.
   */
  async apply<R extends Resource>(resource: R, signal?: AbortSignal): Promise<ApplyResult<R>> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#applyOnce(resource, signal);
      } catch (error) {
        const isRace =
          isResourceError(error, 'conflict') ||
          isResourceError(error, 'alreadyExists') ||
          isResourceError(error, 'doesNotExist');
        const isTied = resource.metadata.resourceVersion !== undefined;
        const isOther = error instanceof ResourceError && error.type.ref.kind !== resource.kind;
        if (!isRace || isOther || isTied || attempt === CONFLICT_ATTEMPTS) throw error;
      }
    }
  }

  /** Returns what was deleted. */
  async delete<R extends Resource = Resource>(ref: ResourceKey, options: DeleteOptions = {}): Promise<R> {
    refuseDefaultAllow(ref, 'deleted');
    await beforeDelete(this, ref, options.signal);
    const key = keyOf(ref);
    for (let attempt = 1; ; attempt += 1) {
      const { kv } = await this.#datastore.get(key, withSignal(options.signal));
      if (kv === undefined) throw new ResourceError({ code: 'doesNotExist', ref });
      const current = decodedOrUndefined<R>(ref, kv);
      const isOther =
        (options.resourceVersion !== undefined && options.resourceVersion !== String(kv.modRevision)) ||
        (options.uid !== undefined && options.uid !== current?.metadata.uid);
      if (isOther) throw refusal(ref, kv);
      const outcome = await compareAndWrite(this.#datastore, key, undefined, kv.modRevision, options.signal);
      // What is no object of the kind can be deleted all the same: that is how one gets rid of it.
      if (outcome.written) return current ?? (bareObject(ref) as R);
      if (attempt === CONFLICT_ATTEMPTS) throw refusal(ref, outcome.current);
    }
  }

  async get<R extends Resource = Resource>(ref: ResourceKey, signal?: AbortSignal): Promise<R> {
    if (isDefaultAllowProfile(ref)) return structuredClone(DEFAULT_ALLOW_PROFILE) as Resource as R;
    const { kv } = await this.#datastore.get(keyOf(ref), withSignal(signal));
    if (kv === undefined) throw new ResourceError({ code: 'doesNotExist', ref });
    const reading = readStored<R>(ref.kind, kv.value, kv.modRevision);
    if (reading.ok) return reading.resource;
    const { key, modRevision: revision } = kv;
    throw new ResourceError({ code: 'unreadable', ref, key, revision, reason: reading.reason });
  }

  async list<R extends Resource = Resource>(
    kind: string,
    options: ListOptions = {},
  ): Promise<ResourceList<R>> {
    const prefix = listPrefix(kind, options.namespace);
    const { items, revision } = await this.#datastore.list(prefix, withSignal(options.signal));
    const resources: R[] = [];
    const unreadable: UnreadableValue[] = [];
    for (const { key, value, modRevision } of items) {
      const ref = parseResourceKey(key);
      if (ref === undefined) continue;
      const reading = readStored<R>(ref.kind, value, modRevision);
      if (reading.ok) resources.push(reading.resource);
      else unreadable.push({ ref, revision: modRevision, reason: reading.reason });
    }
    if (kind === 'Profile') resources.unshift(structuredClone(DEFAULT_ALLOW_PROFILE) as Resource as R);
    return { items: resources, unreadable, revision };
  }

  /** Ends as Datastore.watch does: by its signal, or by throwing `compacted` or `unavailable`. */
  watch<R extends Resource = Resource>(kind: string, options: WatchOptions): AsyncIterable<ResourceEvent<R>> {
    return watchResources<R>(this.#datastore, kind, options);
  }

  async #applyOnce<R extends Resource>(
    resource: R,
    signal: AbortSignal | undefined,
  ): Promise<ApplyResult<R>> {
    const { object, ref } = prepare(resource, () => []);
    refuseDefaultAllow(ref, 'updated');
    const { kv } = await this.#datastore.get(keyOf(ref), withSignal(signal));
    if (kv === undefined) {
      const isTied = object.metadata.resourceVersion !== undefined;
      if (isTied) throw new ResourceError({ code: 'doesNotExist', ref });
      return { resource: await this.create(resource, signal), outcome: 'created' };
    }
    const current = decodedOrUndefined<R>(ref, kv);
    if (current === undefined) return this.#applyOver(kv, ref, object, signal);
    const { uid, creationTimestamp, resourceVersion } = current.metadata;
    Object.assign(object.metadata, {
      uid,
      creationTimestamp,
      resourceVersion: object.metadata.resourceVersion ?? resourceVersion,
    });
    const isSame =
      object.metadata.resourceVersion === resourceVersion && isSameStored(encodeStored(object), kv.value);
    if (isSame) return { resource: current, outcome: 'unchanged' };
    return { resource: await this.update(object, signal), outcome: 'configured' };
  }

  /** What cannot be read tells neither identity nor what may not change: another object takes its place. */
  async #applyOver<R extends Resource>(
    unreadable: KeyValue,
    ref: ResourceKey,
    object: R,
    signal: AbortSignal | undefined,
  ): Promise<ApplyResult<R>> {
    const { modRevision } = unreadable;
    const { resourceVersion, ...metadata } = object.metadata;
    if (resourceVersion !== undefined && resourceVersion !== String(modRevision))
      throw refusal(ref, unreadable);
    const outcome = await this.#writeNew(ref, { ...object, metadata }, modRevision, signal);
    if (!outcome.written) throw refusal(ref, outcome.current);
    return { resource: outcome.resource, outcome: 'configured' };
  }

  /** With a new identity where it has none, over what was written at `modRevision`; 0: nothing. */
  async #writeNew<R extends Resource>(
    ref: ResourceKey,
    object: R,
    modRevision: number,
    signal: AbortSignal | undefined,
  ): Promise<
    | { readonly written: true; readonly resource: R }
    | { readonly written: false; readonly current: KeyValue | undefined }
  > {
    await beforeCreate(this, object, signal);
    object.metadata.uid ||= this.#newUid();
    object.metadata.creationTimestamp ||= `${this.#now().toISOString().slice(0, 19)}Z`;
    const value = encodeStored(object);
    const outcome = await compareAndWrite(this.#datastore, keyOf(ref), value, modRevision, signal);
    return outcome.written ? { written: true, resource: decoded<R>(ref, value, outcome.revision) } : outcome;
  }

  /** What may not change. Another version than the one looked at here is refused by the compare of the write. */
  async #checkUpdate(ref: ResourceKey, object: Resource, signal: AbortSignal | undefined): Promise<void> {
    if (!hasImmutableFields(ref.kind)) return;
    const { kv } = await this.#datastore.get(keyOf(ref), withSignal(signal));
    const stored = decodedOrUndefined(ref, kv);
    const problems = stored === undefined ? [] : validateUpdate(stored, object);
    if (problems.length > 0) throw new ResourceError({ code: 'invalid', ref, problems });
  }
}

/** A copy with defaults, and every problem of it at once. */
function prepare<R extends Resource>(
  resource: R,
  check: (resource: Resource) => readonly Problem[],
): { readonly object: R; readonly ref: ResourceKey } {
  const info = findKind(resource.kind);
  if (info === undefined) {
    const ref = { kind: resource.kind, name: resource.metadata.name };
    throw new ResourceError({ code: 'invalid', ref, problems: validateResource(resource) });
  }
  let object = structuredClone(resource);
  object.apiVersion = info.apiVersion;
  const problems = [...check(object)];
  object = applyDefaults(object);
  problems.push(...validateResource(object));
  const ref = refOf(object);
  if (problems.length > 0) throw new ResourceError({ code: 'invalid', ref, problems });
  return { object, ref };
}

function createProblems(resource: Resource): Problem[] {
  const problems: Problem[] = [];
  if (resource.metadata.generateName !== undefined) {
    problems.push({ path: 'metadata.generateName', rule: 'forbidden', message: 'is not supported' });
  }
  if ((resource.metadata.resourceVersion ?? '') !== '') {
    const message = 'must not be set on an object to be created';
    problems.push({ path: 'metadata.resourceVersion', rule: 'forbidden', message });
  }
  delete resource.metadata.resourceVersion;
  return problems;
}

function updateProblems(resource: Resource): Problem[] {
  const { resourceVersion = '', creationTimestamp = '', uid = '' } = resource.metadata;
  const problems: Problem[] = [];
  const missing = (field: string): void => {
    problems.push({ path: `metadata.${field}`, rule: 'required', message: 'must be set for an update' });
  };
  if (resourceVersion === '') missing('resourceVersion');
  else if (!/^[1-9][0-9]*$/.test(resourceVersion)) {
    problems.push({ path: 'metadata.resourceVersion', rule: 'format', message: 'must be a revision' });
  }
  if (creationTimestamp === '' || creationTimestamp === null) missing('creationTimestamp');
  if (uid === '') missing('uid');
  return problems;
}

function refOf(resource: Resource): ResourceKey {
  const { name, namespace } = resource.metadata;
  const isNamespaced = findKind(resource.kind)?.namespaced === true;
  return isNamespaced && namespace !== undefined
    ? { kind: resource.kind, namespace, name }
    : { kind: resource.kind, name };
}

/** Throws `invalid` for a name or namespace that cannot be part of a key. */
function keyOf(ref: ResourceKey): string {
  const isSegment = (text: string | undefined): boolean =>
    text !== undefined && text !== '' && !text.includes('/');
  const problems: Problem[] = [];
  const message = "must be set and hold no '/'";
  if (!isSegment(ref.name)) problems.push({ path: 'metadata.name', rule: 'format', message });
  if (kindInfo(ref.kind).namespaced && !isSegment(ref.namespace)) {
    problems.push({ path: 'metadata.namespace', rule: 'format', message });
  }
  if (problems.length > 0) throw new ResourceError({ code: 'invalid', ref, problems });
  return keyForResource(ref.kind, ref.namespace, ref.name);
}

function refuseDefaultAllow(ref: ResourceKey, done: string): void {
  if (!isDefaultAllowProfile(ref)) return;
  throw new ResourceError({
    code: 'operationNotSupported',
    ref,
    reason: `the built-in profile cannot be ${done}`,
  });
}

function refusal(ref: ResourceKey, kv: KeyValue | undefined): ResourceError {
  if (kv === undefined) return new ResourceError({ code: 'doesNotExist', ref });
  const current = decodedOrUndefined(ref, kv);
  return new ResourceError({ code: 'conflict', ref, ...(current === undefined ? {} : { current }) });
}

/** Whoever wrote it may have ordered its fields otherwise. Both are JSON: one was decoded before. */
function isSameStored(value: string, stored: string): boolean {
  return isDeepStrictEqual(JSON.parse(value), JSON.parse(stored));
}

function decoded<R extends Resource>(ref: ResourceKey, value: string, modRevision: number): R {
  const resource = decodeStored<R>(ref.kind, value, modRevision);
  if (resource === undefined) throw new Error(`what was written to ${ref.kind} ${ref.name} cannot be read`);
  return resource;
}

function decodedOrUndefined<R extends Resource>(ref: ResourceKey, kv: KeyValue | undefined): R | undefined {
  return kv === undefined ? undefined : decodeStored<R>(ref.kind, kv.value, kv.modRevision);
}

function bareObject(ref: ResourceKey): Resource {
  const { kind, namespace, name } = ref;
  const metadata = namespace === undefined ? { name } : { name, namespace };
  return { apiVersion: kindInfo(kind).apiVersion, kind, metadata };
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
