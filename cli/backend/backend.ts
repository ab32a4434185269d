// Where calicoctl reads and writes: etcd itself, or the API by a kubeconfig. Both behave alike to the commands.

import type { IpamInspection } from '../../lib/ipam/inspection.ts';
import type { ResourceKey } from '../../lib/model/keys.ts';
import type { Resource } from '../../lib/model/metadata.ts';

export interface BackendList {
  readonly items: readonly Resource[];
  readonly resourceVersion: string;
}

export type ApplyOutcome = 'created' | 'configured' | 'unchanged';

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
  /** Makes what every datastore must hold before the first write. */
  initialize(): Promise<void>;
  readonly ipam: IpamInspection;
  close(): Promise<void>;
}
