// One kind's mirror: what the datastore must hold for an object of the orchestrator, and which stored objects are ours.

import {
  convertClusterNetworkPolicy,
  STORED_CLUSTER_POLICY_PREFIX,
  storedClusterPolicyName,
} from '../../../lib/conversion/cluster-network-policy.ts';
import {
  convertToStoredNetworkPolicy,
  STORED_POLICY_PREFIX,
  storedPolicyName,
} from '../../../lib/conversion/network-policy.ts';
import {
  convertNamespace,
  convertServiceAccount,
  namespaceProfileName,
  serviceAccountProfileName,
  unfitNamespaceLabels,
  unfitServiceAccountLabels,
} from '../../../lib/conversion/profiles.ts';
import {
  CLUSTER_NETWORK_POLICIES,
  type KindPath,
  NAMESPACES,
  NETWORK_POLICIES,
  SERVICE_ACCOUNTS,
} from '../../../lib/kube-client/client.ts';
import type { ClusterNetworkPolicy } from '../../../lib/model/cluster-network-policy-types.ts';
import type { ResourceKey } from '../../../lib/model/keys.ts';
import type {
  KubernetesNetworkPolicy,
  Namespace,
  ServiceAccount,
} from '../../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

export interface Desired {
  /** Undefined: nothing may be stored for it. */
  readonly resource: Resource | undefined;
  /** What of the object is not in the resource, in sentences: never so that more is allowed. */
  readonly problems: readonly string[];
}

export interface Mirror {
  readonly name: string;
  readonly kind: KindPath;
  /** A custom resource, which a server need not have: how long it must have said so. */
  readonly missingAfterMs?: number;
  /** Kind of the stored objects. */
  readonly storedKind: string;
  /** Undefined: leave what is stored as it is. */
  readonly convert: (object: Resource) => Desired | undefined;
  /** Where the object called `key` (`namespace/name` or `name`) is stored. */
  readonly storedRef: (key: string) => ResourceKey;
  /** The key of the object that a stored one would be made from, or undefined if it is not ours. */
  readonly sourceKey: (stored: Resource) => string | undefined;
}

function split(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

const namespaces: Mirror = {
  name: 'namespaces',
  kind: NAMESPACES,
  storedKind: 'Profile',
  // While a namespace is emptied its pods still need its profile.
  convert: (object) =>
    object.metadata.deletionTimestamp === undefined
      ? {
          resource: convertNamespace(object as Namespace),
          problems: unfitNamespaceLabels(object as Namespace),
        }
      : undefined,
  storedRef: (key) => ({ kind: 'Profile', name: namespaceProfileName(key) }),
  sourceKey: ({ metadata: { name } }) => (name.startsWith('kns.') ? name.slice(4) : undefined),
};

const serviceAccounts: Mirror = {
  name: 'serviceaccounts',
  kind: SERVICE_ACCOUNTS,
  storedKind: 'Profile',
  convert: (object) => ({
    resource: convertServiceAccount(object as ServiceAccount),
    problems: unfitServiceAccountLabels(object as ServiceAccount),
  }),
  storedRef: (key) => {
    const { namespace, name } = split(key);
    return { kind: 'Profile', name: serviceAccountProfileName(namespace, name) };
  },
  // A namespace's name has no dot, so the first one ends it.
  sourceKey: ({ metadata: { name } }) => /^ksa\.([^.]+)\.(.+)$/.exec(name)?.slice(1).join('/'),
};

const networkPolicies: Mirror = {
  name: 'networkpolicies',
  kind: NETWORK_POLICIES,
  storedKind: 'NetworkPolicy',
  convert: (object) => {
    const { policy, problems } = convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy);
    return { resource: policy, problems: problems.map(({ field, reason }) => `${field}: ${reason}`) };
  },
  storedRef: (key) => {
    const { namespace, name } = split(key);
    return { kind: 'NetworkPolicy', namespace, name: storedPolicyName(name) };
  },
  sourceKey: ({ metadata: { name, namespace } }) =>
    name.startsWith(STORED_POLICY_PREFIX)
      ? `${namespace ?? ''}/${name.slice(STORED_POLICY_PREFIX.length)}`
      : undefined,
};

const clusterNetworkPolicies: Mirror = {
  name: 'clusternetworkpolicies',
  kind: CLUSTER_NETWORK_POLICIES,
  missingAfterMs: 10_000,
  storedKind: 'GlobalNetworkPolicy',
  convert: (object) => {
    const { policy, problems } = convertClusterNetworkPolicy(object as ClusterNetworkPolicy);
    return { resource: policy, problems: problems.map(({ field, reason }) => `${field}: ${reason}`) };
  },
  storedRef: (key) => ({ kind: 'GlobalNetworkPolicy', name: storedClusterPolicyName(key) }),
  sourceKey: ({ metadata: { name } }) =>
    name.startsWith(STORED_CLUSTER_POLICY_PREFIX)
      ? name.slice(STORED_CLUSTER_POLICY_PREFIX.length)
      : undefined,
};

export const MIRRORS: readonly Mirror[] = [
  namespaces,
  serviceAccounts,
  networkPolicies,
  clusterNetworkPolicies,
];
