// The row that describes a kind of the API (registry.ts has the table).

import type { Datastore } from '../../lib/datastore/datastore.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';

/** Where ClusterNetworkPolicies are stored. */
export const CLUSTER_POLICIES_PREFIX = '/registry/policy.networking.k8s.io/clusternetworkpolicies/';

export type Verb = 'create' | 'delete' | 'get' | 'list' | 'patch' | 'update' | 'watch' | 'deletecollection';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** 1: shown with `-o wide` only. */
  readonly priority: 0 | 1;
  readonly cell: (object: Resource, now: Date) => string | number;
}

/** What of a kind reaches beyond one object. The functions throw what the client is told. */
export interface KindRules {
  /** Objects that exist without being stored, and cannot be written. */
  readonly builtIn: readonly Resource[];
  readonly beforeCreate: (datastore: Datastore, object: Resource) => Promise<void>;
  /** Whether it may be deleted; of what cannot be read name and namespace alone are known. */
  readonly mayDelete: (datastore: Datastore, object: Resource) => Promise<void>;
  /** Returns the version that is to be deleted: what goes before may change the object. */
  readonly beforeDelete: (datastore: Datastore, object: Resource) => Promise<Resource>;
}

export interface ApiKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly hasStatus: boolean;
  /** Field selectors besides metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[];
  /** etcd prefix of all objects of the kind, with its final slash. */
  readonly prefix: string;
  readonly columns: readonly Column[];
  /** Message of the field tables; undefined for Calico's kinds. */
  readonly schema: string | undefined;
  /** A copy with defaults filled in; run after every write, before comparing. */
  readonly withDefaults: (object: Resource) => Resource;
  /** Everything that is wrong with it, by field. `previous` is the stored object on an update. */
  readonly validate: (object: Resource, previous: Resource | undefined) => readonly StatusCause[];
  /** Paths of fields that the kind does not have. */
  readonly unknownFields: (object: Resource) => readonly string[];
  /** Between the stored JSON and the object served (Calico keeps some names in annotations). */
  readonly toStored: (object: Resource) => Resource;
  readonly fromStored: (object: Resource) => Resource;
  /** Objects of the kind are forgotten so many seconds after they were last written. */
  readonly ttlSeconds?: number;
  readonly rules?: KindRules;
}
