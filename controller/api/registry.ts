// Every kind that the API serves: one row gives its place in URLs, in etcd, in discovery, and the functions that default,
// check and print it. Groups come in the order of their priority: Calico's networkpolicies stand behind Kubernetes'.

import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';
import { builtInKinds } from './built-in-kinds.ts';
import { calicoKinds } from './calico-kinds.ts';

export type Verb = 'create' | 'delete' | 'get' | 'list' | 'patch' | 'update' | 'watch' | 'deletecollection';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** 1: shown with `-o wide` only. */
  readonly priority: 0 | 1;
  readonly cell: (object: Resource, now: Date) => string | number;
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
  /** Objects of the kind are forgotten after so many seconds. */
  readonly ttlSeconds?: number;
}

export const API_KINDS: readonly ApiKind[] = [...builtInKinds(), ...calicoKinds()];

const byUrl = new Map(API_KINDS.map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]));

export function findApiKind(group: string, version: string, plural: string): ApiKind | undefined {
  return byUrl.get(`${group}/${version}/${plural}`);
}

export function apiVersionOf(kind: ApiKind): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** Groups in order of priority, each with its one version. */
export function apiGroups(): readonly { readonly group: string; readonly version: string }[] {
  const groups: { group: string; version: string }[] = [];
  for (const { group, version } of API_KINDS)
    if (!groups.some((entry) => entry.group === group)) groups.push({ group, version });
  return groups;
}

/** The key of one object; undefined parts were checked by the caller. */
export function storageKey(kind: ApiKind, namespace: string | undefined, name: string): string {
  return kind.namespaced ? `${kind.prefix}${namespace ?? ''}/${name}` : `${kind.prefix}${name}`;
}
