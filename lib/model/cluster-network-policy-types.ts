// policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy (sigs.k8s.io/network-policy-api; JSON shapes).

import type { LabelSelector } from './kubernetes-types.ts';
import type { Resource } from './metadata.ts';

export const CLUSTER_POLICY_GROUP = 'policy.networking.k8s.io';
export const CLUSTER_POLICY_VERSION = 'v1alpha2';

export type ClusterPolicyAction = 'Accept' | 'Deny' | 'Pass';

/** Pods by labels of theirs and of their namespaces; an empty selector selects all. */
export interface ClusterPolicyPods {
  namespaceSelector: LabelSelector;
  podSelector: LabelSelector;
}
/** Exactly one of the two. */
export interface ClusterPolicySubject {
  /** All pods of these namespaces. */
  namespaces?: LabelSelector;
  pods?: ClusterPolicyPods;
}
export type ClusterPolicyIngressPeer = ClusterPolicySubject;
/** Exactly one field. `nodes` and `domainNames` are of the experimental channel. */
export interface ClusterPolicyEgressPeer extends ClusterPolicySubject {
  networks?: string[];
  nodes?: LabelSelector;
  domainNames?: string[];
}

/** Exactly one of the two. */
export interface ClusterPolicyPort {
  number?: number;
  range?: { start: number; end: number };
}
/** Exactly one field. */
export interface ClusterPolicyProtocol {
  tcp?: { destinationPort?: ClusterPolicyPort };
  udp?: { destinationPort?: ClusterPolicyPort };
  sctp?: { destinationPort?: ClusterPolicyPort };
  /** A port of the destination pods by its name, whatever its protocol. */
  destinationNamedPort?: string;
}

interface ClusterPolicyRule {
  name?: string;
  action: ClusterPolicyAction;
  protocols?: ClusterPolicyProtocol[];
}
export interface ClusterPolicyIngressRule extends ClusterPolicyRule {
  from: ClusterPolicyIngressPeer[];
}
export interface ClusterPolicyEgressRule extends ClusterPolicyRule {
  to: ClusterPolicyEgressPeer[];
}

export interface ClusterNetworkPolicySpec {
  tier: 'Admin' | 'Baseline';
  /** 0 to 1000; the lower one comes first. */
  priority: number;
  subject: ClusterPolicySubject;
  ingress?: ClusterPolicyIngressRule[];
  egress?: ClusterPolicyEgressRule[];
}
export type ClusterNetworkPolicy = Resource<
  'ClusterNetworkPolicy',
  ClusterNetworkPolicySpec,
  { conditions?: unknown[] }
>;
