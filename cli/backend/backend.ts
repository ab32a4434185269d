// Where calicoctl reads and writes: etcd itself, or the API by a kubeconfig. Both behave alike to the commands.

import type { RuleSources } from '../../lib/datastore/rule-sources.ts';
import type { IpamInspection } from '../../lib/ipam/inspection.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { EndpointSlice } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';

export interface BackendList {
  readonly items: readonly Resource[];
  /** An error for each object that is stored and cannot be read. */
  readonly unreadable: readonly Error[];
  readonly resourceVersion: string;
}

export type ApplyOutcome = 'created' | 'configured' | 'unchanged';

export type WriteAction = 'create' | 'apply' | 'replace';

/** What a write would do. */
export interface Preview {
  /** Undefined: there is none yet. */
  readonly before: Resource | undefined;
  readonly after: Resource;
  readonly outcome: ApplyOutcome;
}

/** What writes would do, one after the other; nothing is stored. Throws what the write would throw. */
export type Previewer = (action: WriteAction, resource: Resource) => Promise<Preview>;

/** All methods throw ResourceError for what is about the object, and the error of etcd's or the API's client otherwise. */
export interface Backend {
  readonly type: 'etcd' | 'api';
  /** Of all namespaces if none is named. */
  list(kind: string, namespace: string | undefined): Promise<BackendList>;
  get(ref: ResourceKey): Promise<Resource>;
  create(resource: Resource): Promise<Resource>;
  /** Replaces what is there: the version that `resourceVersion` names, or whatever is the newest. */
  update(resource: Resource): Promise<Resource>;
  apply(resource: Resource): Promise<{ readonly resource: Resource; readonly outcome: ApplyOutcome }>;
  delete(ref: ResourceKey, resourceVersion?: string): Promise<void>;
  /** On etcd a later write sees what the earlier ones would have stored; through the API, only the tiers among them. */
  previewer(): Previewer;
  /** Makes what every datastore must hold before the first write. */
  initialize(): Promise<void>;
  /** Those that rules about services are judged by. */
  endpointSlices(): Promise<readonly EndpointSlice[]>;
  readonly ipam: IpamInspection;
  /** Where rules were written. */
  readonly ruleSources: RuleSources;
  close(): Promise<void>;
}
