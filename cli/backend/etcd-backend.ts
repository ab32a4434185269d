// calicoctl on etcd itself, through the same client as every process of this project.

import { restoreEndpointSlice } from '../../lib/conversion/endpoint-slice.ts';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import { DryRunDatastore } from '../../lib/datastore/dry-run-datastore.ts';
import { ensureInitialized } from '../../lib/datastore/initialize.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { isNothingReadable, isResourceError, ResourceError } from '../../lib/datastore/resource-error.ts';
import { type RuleSources, storedRuleSources } from '../../lib/datastore/rule-sources.ts';
import { beforeDeletion, goesWithOthers } from '../../lib/ipam/before-deletion.ts';
import { type IpamInspection, inspectIpam } from '../../lib/ipam/inspection.ts';
import { keyForResource, type ResourceKey } from '../../lib/model/keys.ts';
import { kindInfo } from '../../lib/model/kinds.ts';
import type { EndpointSlice } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import {
  ENDPOINT_SLICE_ROOT,
  parseEndpointSliceKey,
  parseStoredEndpointSlice,
} from '../../lib/protocol/endpoint-slices.ts';
import type { ApplyOutcome, Backend, BackendList, Previewer } from './backend.ts';

const UPDATE_ATTEMPTS = 5;

export class EtcdBackend implements Backend {
  readonly type = 'etcd';
  readonly ipam: IpamInspection;
  readonly ruleSources: RuleSources;
  readonly #datastore: Datastore;
  readonly #client: ResourceClient;
  readonly #signal: AbortSignal;

  constructor(datastore: Datastore, signal: AbortSignal) {
    this.#datastore = datastore;
    this.#client = new ResourceClient({ datastore });
    this.#signal = signal;
    this.ipam = inspectIpam(datastore);
    this.ruleSources = storedRuleSources(datastore, signal);
  }

  async list(kind: string, namespace: string | undefined): Promise<BackendList> {
    const { items, unreadable, revision } = await this.#client.list(kind, {
      signal: this.#signal,
      ...(namespace === undefined ? {} : { namespace }),
    });
    const errors = unreadable.map(
      ({ ref, revision: at, reason }) =>
        new ResourceError({
          code: 'unreadable',
          ref,
          key: keyForResource(ref.kind, ref.namespace, ref.name),
          revision: at,
          reason,
        }),
    );
    return { items, unreadable: errors, resourceVersion: String(revision) };
  }

  async get(ref: ResourceKey): Promise<Resource> {
    return this.#client.get(ref, this.#signal);
  }

  async create(resource: Resource): Promise<Resource> {
    return this.#client.create(resource, this.#signal);
  }

  async update(resource: Resource): Promise<Resource> {
    for (let attempt = 1; ; attempt += 1) {
      const current = await this.#currentOrRevision(refOf(resource));
      if (typeof current === 'number') return this.#replaceUnreadable(resource, current);
      const { labels, annotations, resourceVersion = '' } = resource.metadata;
      const { labels: _labels, annotations: _annotations, ...own } = current.metadata;
      const metadata = {
        ...own,
        ...(labels === undefined ? {} : { labels }),
        ...(annotations === undefined ? {} : { annotations }),
        ...(resourceVersion === '' ? {} : { resourceVersion }),
      };
      try {
        return await this.#client.update({ ...resource, metadata }, this.#signal);
      } catch (error) {
        const isRace = isResourceError(error, 'conflict') && resourceVersion === '';
        if (!isRace || attempt === UPDATE_ATTEMPTS) throw error;
      }
    }
  }

  async apply(resource: Resource): Promise<{ readonly resource: Resource; readonly outcome: ApplyOutcome }> {
    return this.#client.apply(resource, this.#signal);
  }

  async delete(ref: ResourceKey, resourceVersion?: string): Promise<void> {
    const version = goesWithOthers(ref.kind)
      ? await this.#deleteOthers(ref, resourceVersion)
      : resourceVersion;
    await this.#client.delete(ref, {
      signal: this.#signal,
      ...(version === undefined ? {} : { resourceVersion: version }),
    });
  }

  /** What goes with it. Returns the version that is left, if one was asked for. */
  async #deleteOthers(ref: ResourceKey, wanted: string | undefined): Promise<string | undefined> {
    const object = await this.#find(ref);
    // What cannot be read has nothing that goes with it; whether it is there, the deletion itself says.
    if (object === undefined) return wanted;
    if (wanted !== undefined && wanted !== object.metadata.resourceVersion)
      throw new ResourceError({ code: 'conflict', ref, current: object });
    const last = await beforeDeletion(this.#datastore, object, this.#signal);
    return wanted === undefined ? undefined : last.metadata.resourceVersion;
  }

  /** Of what is there and cannot be read, its revision. */
  async #currentOrRevision(ref: ResourceKey): Promise<Resource | number> {
    try {
      return await this.get(ref);
    } catch (error) {
      if (error instanceof ResourceError && error.type.code === 'unreadable') return error.type.revision;
      throw error;
    }
  }

  async #replaceUnreadable(resource: Resource, revision: number): Promise<Resource> {
    const resourceVersion = resource.metadata.resourceVersion || String(revision);
    const metadata = { ...resource.metadata, resourceVersion };
    return (await this.apply({ ...resource, metadata })).resource;
  }

  async #find(ref: ResourceKey): Promise<Resource | undefined> {
    try {
      return await this.get(ref);
    } catch (error) {
      if (isNothingReadable(error)) return undefined;
      throw error;
    }
  }

  async endpointSlices(): Promise<readonly EndpointSlice[]> {
    const { items } = await this.#datastore.list(ENDPOINT_SLICE_ROOT, { signal: this.#signal });
    return items.flatMap(({ key, value }) => {
      const ref = parseEndpointSliceKey(key);
      const stored = parseStoredEndpointSlice(value);
      return ref === undefined || stored === undefined ? [] : restoreEndpointSlice(ref, stored);
    });
  }

  previewer(): Previewer {
    const dry = new EtcdBackend(new DryRunDatastore(this.#datastore), this.#signal);
    const ready = dry.initialize().catch(() => undefined); // As before a write: what is really wrong, the write will say.
    return async (action, resource) => {
      await ready;
      const before = await dry.#find(refOf(resource));
      if (action === 'create')
        return { before: undefined, after: await dry.create(resource), outcome: 'created' };
      const { resource: after, outcome } =
        action === 'apply'
          ? await dry.apply(resource)
          : { resource: await dry.update(resource), outcome: 'configured' as const };
      return { before, after, outcome };
    };
  }

  async initialize(): Promise<void> {
    await ensureInitialized(this.#client, {}, this.#signal);
  }

  async close(): Promise<void> {
    await this.#datastore.close();
  }
}

/** The key of an object that has been checked. */
export function refOf(resource: Resource): ResourceKey {
  const { name, namespace } = resource.metadata;
  return kindInfo(resource.kind).namespaced && namespace !== undefined
    ? { kind: resource.kind, namespace, name }
    : { kind: resource.kind, name };
}
