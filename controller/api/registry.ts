// Every kind that the API serves: one row gives its place in URLs, in etcd, in discovery, and the functions that default,
// check and print it. Groups come in the order of their priority: Calico's networkpolicies stand behind Kubernetes'.

import type { ApiKind } from './api-kind.ts';
import { builtInKinds } from './built-in-kinds.ts';
import { calicoKinds, calicoNodeKind } from './calico-kinds.ts';
import { clusterNetworkPolicyKind } from './cluster-policy-kind.ts';

export const API_KINDS: readonly ApiKind[] = [
  ...builtInKinds(),
  clusterNetworkPolicyKind(),
  ...calicoKinds(),
];

const byUrl = new Map(
  [...API_KINDS, calicoNodeKind()].map((kind) => [`${kind.group}/${kind.version}/${kind.plural}`, kind]),
);

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
