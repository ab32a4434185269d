// calicoctl through the Kubernetes-shaped API: v3 kinds at their own group; Calico's Nodes, which share their name with
// Kubernetes', at `calico-ts.dev`, as `caliconodes`.

import { isDeepStrictEqual } from 'node:util';
import { MemoryDatastore } from '../../lib/datastore/memory/memory-datastore.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import {
  isResourceError,
  ResourceError,
  type ResourceErrorType,
} from '../../lib/datastore/resource-error.ts';
import type { RuleSources } from '../../lib/datastore/rule-sources.ts';
import type { IpamInspection } from '../../lib/ipam/inspection.ts';
import { ENDPOINT_SLICES, type KindPath, KubeClient, KubeError } from '../../lib/kube-client/client.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import { CALICO_API_VERSION, CALICO_GROUP, kindInfo } from '../../lib/model/kinds.ts';
import type { EndpointSlice } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { CliError } from '../cli-error.ts';
import { ApiIpam } from './api-ipam.ts';
import { apiRuleSources } from './api-rule-sources.ts';
import type { ApplyOutcome, Backend, BackendList, Previewer } from './backend.ts';
import { refOf } from './etcd-backend.ts';

const CALICO_NODES: KindPath = { group: 'calico-ts.dev', version: 'v1', plural: 'caliconodes' };
const APPLY_ATTEMPTS = 5;

type Outcome = Extract<ResourceErrorType['code'], 'alreadyExists' | 'doesNotExist' | 'conflict'>;
const OUTCOMES: readonly Outcome[] = ['alreadyExists', 'doesNotExist', 'conflict'];

export class ApiBackend implements Backend {
  readonly type = 'api';
  readonly ipam: IpamInspection;
  readonly ruleSources: RuleSources;
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;

  constructor(client: KubeClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.ipam = new ApiIpam(client, signal);
    this.ruleSources = apiRuleSources(client, signal);
  }

  async list(kind: string, namespace: string | undefined): Promise<BackendList> {
    const unreadable: Error[] = [];
    const list = await this.#client.list(pathOf(kind), namespace, {
      signal: this.#signal,
      // Of a list the server warns of nothing else.
      onWarning: (text) => unreadable.push(new CliError({ code: 'failed' }, text)),
    });
    const items = list.items.map((item) => fromApi(kind, item));
    return { items, unreadable, resourceVersion: list.metadata.resourceVersion };
  }

  async get(ref: ResourceKey): Promise<Resource> {
    return this.#tell(ref, OUTCOMES, async () =>
      fromApi(
        ref.kind,
        await this.#client.get(pathOf(ref.kind), ref.namespace, ref.name, { signal: this.#signal }),
      ),
    );
  }

  async create(resource: Resource, isDryRun = false): Promise<Resource> {
    const ref = refOf(resource);
    // What is not found here is the namespace, which the server's own words name.
    const codes = ['alreadyExists', 'conflict'] as const;
    return this.#tell(ref, codes, async () => {
      const path = pathOf(ref.kind);
      const created = await this.#client.create(path, ref.namespace, toApi(resource), {
        signal: this.#signal,
        ...dryRunQuery(isDryRun),
      });
      return fromApi(ref.kind, created);
    });
  }

  async update(resource: Resource, isDryRun = false): Promise<Resource> {
    const ref = refOf(resource);
    return this.#tell(ref, OUTCOMES, async () => {
      const stored = await this.#client.replace(pathOf(ref.kind), toApi(resource), {
        signal: this.#signal,
        ...dryRunQuery(isDryRun),
      });
      return fromApi(ref.kind, stored);
    });
  }

  async apply(resource: Resource): Promise<{ readonly resource: Resource; readonly outcome: ApplyOutcome }> {
    const ref = refOf(resource);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const before = await this.#find(ref);
        if (before === undefined) return { resource: await this.create(resource), outcome: 'created' };
        const after = await this.update(resource);
        // The API writes nothing, and gives out no new version, where nothing changes.
        const isSame =
          before !== 'unreadable' && after.metadata.resourceVersion === before.metadata.resourceVersion;
        return { resource: after, outcome: isSame ? 'unchanged' : 'configured' };
      } catch (error) {
        const code = error instanceof ResourceError ? error.type.code : undefined;
        const isRace = code === 'alreadyExists' || code === 'doesNotExist';
        const isTied = (resource.metadata.resourceVersion ?? '') !== '';
        if (!isRace || isTied || attempt === APPLY_ATTEMPTS) throw error;
      }
    }
  }

  async delete(ref: ResourceKey, resourceVersion?: string): Promise<void> {
    await this.#tell(ref, OUTCOMES, async () => {
      const preconditions = resourceVersion === undefined ? {} : { preconditions: { resourceVersion } };
      const path = KubeClient.path(pathOf(ref.kind), ref.namespace, ref.name);
      await this.#client.call('DELETE', path, preconditions, { signal: this.#signal });
    });
  }

  async endpointSlices(): Promise<readonly EndpointSlice[]> {
    const { items } = await this.#client.list(ENDPOINT_SLICES, undefined, { signal: this.#signal });
    // Items of a list come without kind from some servers.
    return items.map((item) => ({ ...(item as EndpointSlice), kind: 'EndpointSlice' }));
  }

  previewer(): Previewer {
    /** The tiers of this run. */
    const earlier = new ResourceClient({ datastore: new MemoryDatastore() });
    return async (action, resource) => {
      const ref = refOf(resource);
      const found = action === 'create' ? undefined : await this.#find(ref);
      if (found === undefined && action !== 'replace') {
        const created = await this.#previewNew(resource, earlier);
        if (ref.kind === 'Tier') await earlier.apply({ ...resource, metadata: { name: ref.name } });
        return { before: undefined, after: created, outcome: 'created' };
      }
      const after = await this.update(resource, true);
      const before = found === undefined || found === 'unreadable' ? undefined : fromApi(ref.kind, found);
      const isSame = before !== undefined && isDeepStrictEqual(before, after);
      return { before, after, outcome: isSame ? 'unchanged' : 'configured' };
    };
  }

  /** A policy whose tier is new in the same run is judged here: the API keeps nothing of a dry run. */
  async #previewNew(resource: Resource, earlier: ResourceClient): Promise<Resource> {
    try {
      return await this.create(resource, true);
    } catch (error) {
      if (!isTierNotFound(error)) throw error;
      return await earlier.create(resource, this.#signal).catch((own: unknown) => {
        throw isResourceError(own, 'doesNotExist') ? error : own;
      });
    }
  }

  /** The API's server has done it. */
  async initialize(): Promise<void> {}

  async close(): Promise<void> {
    this.#client.close();
  }

  /** Undefined: nothing is there. */
  async #find(ref: ResourceKey): Promise<Resource | 'unreadable' | undefined> {
    try {
      return await this.#client.find(pathOf(ref.kind), ref.namespace, ref.name, { signal: this.#signal });
    } catch (error) {
      const isUnreadable =
        error instanceof KubeError &&
        error.type.code === 'status' &&
        error.type.reason === 'StorageReadError';
      if (isUnreadable) return 'unreadable';
      throw error;
    }
  }

  /** The server's answers as the outcomes that the commands tell apart. */
  async #tell<T>(ref: ResourceKey, codes: readonly Outcome[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = outcomeOf(error);
      if (code === undefined || !codes.includes(code)) throw error;
      throw new ResourceError({ code, ref }, { cause: error });
    }
  }
}

function outcomeOf(error: unknown): Outcome | undefined {
  if (!(error instanceof KubeError) || error.type.code !== 'status') return undefined;
  switch (error.type.reason) {
    case 'NotFound':
      return 'doesNotExist';
    case 'AlreadyExists':
      return 'alreadyExists';
    case 'Conflict':
      return 'conflict';
    default:
      return undefined;
  }
}

function isTierNotFound(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    error.type.code === 'status' &&
    error.type.reason === 'NotFound' &&
    error.type.details?.kind === kindInfo('Tier').plural
  );
}

function dryRunQuery(isDryRun: boolean): { readonly query?: Readonly<Record<string, string>> } {
  return isDryRun ? { query: { dryRun: 'All' } } : {};
}

function pathOf(kind: string): KindPath {
  if (kind === 'Node') return CALICO_NODES;
  return { group: CALICO_GROUP, version: 'v3', plural: kindInfo(kind).plural };
}

function toApi(resource: Resource): Resource {
  if (resource.kind !== 'Node') return resource;
  return { ...resource, apiVersion: 'calico-ts.dev/v1', kind: 'CalicoNode' };
}

/** Items of a list come without kind and version from some servers. */
function fromApi(kind: string, object: Resource): Resource {
  return { ...object, apiVersion: CALICO_API_VERSION, kind };
}
