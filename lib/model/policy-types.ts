// Calico v3 policy resources as stored (JSON shapes): NetworkPolicy, GlobalNetworkPolicy, tiers, sets, profiles.

import type { Resource } from './metadata.ts';

export type Action = 'Allow' | 'Deny' | 'Log' | 'Pass';
export type PolicyType = 'Ingress' | 'Egress';
/** JSON form of a port: a number, `"min:max"`, or the name of a port. */
export type Port = number | string;
/** `TCP UDP ICMP ICMPv6 SCTP UDPLite` in any case, or a number from 1 to 255 (also as text). */
export type Protocol = string | number;

export interface IcmpFields {
  type?: number;
  code?: number;
}

export interface EntityRule {
  nets?: string[];
  notNets?: string[];
  selector?: string;
  notSelector?: string;
  namespaceSelector?: string;
  ports?: Port[];
  notPorts?: Port[];
  serviceAccounts?: { names?: string[]; selector?: string };
  services?: { name: string; namespace?: string };
}

export interface Rule {
  action: Action;
  ipVersion?: 4 | 6;
  protocol?: Protocol;
  notProtocol?: Protocol;
  icmp?: IcmpFields;
  notICMP?: IcmpFields;
  http?: { methods?: string[]; paths?: ({ exact: string } | { prefix: string })[] };
  metadata?: { annotations?: Record<string, string> };
  source?: EntityRule;
  destination?: EntityRule;
}

export interface PolicySpecCommon {
  tier?: string;
  order?: number;
  selector?: string;
  serviceAccountSelector?: string;
  types?: PolicyType[];
  ingress?: Rule[];
  egress?: Rule[];
  performanceHints?: string[];
}
export type NetworkPolicySpec = PolicySpecCommon;
export interface GlobalNetworkPolicySpec extends PolicySpecCommon {
  namespaceSelector?: string;
  doNotTrack?: boolean;
  preDNAT?: boolean;
  applyOnForward?: boolean;
}
export type StagedAction = 'Set' | 'Delete' | 'Learn' | 'Ignore';

export type NetworkPolicy = Resource<'NetworkPolicy', NetworkPolicySpec>;
export type GlobalNetworkPolicy = Resource<'GlobalNetworkPolicy', GlobalNetworkPolicySpec>;
export type StagedNetworkPolicy = Resource<
  'StagedNetworkPolicy',
  NetworkPolicySpec & { stagedAction?: StagedAction }
>;
export type StagedGlobalNetworkPolicy = Resource<
  'StagedGlobalNetworkPolicy',
  GlobalNetworkPolicySpec & { stagedAction?: StagedAction }
>;

export interface TierSpec {
  order?: number;
  defaultAction?: 'Deny' | 'Pass';
}
export type Tier = Resource<'Tier', TierSpec>;

export type NetworkSet = Resource<'NetworkSet', { nets?: string[] }>;
export type GlobalNetworkSet = Resource<'GlobalNetworkSet', { nets?: string[] }>;

export interface ProfileSpec {
  ingress?: Rule[];
  egress?: Rule[];
  labelsToApply?: Record<string, string>;
}
export type Profile = Resource<'Profile', ProfileSpec>;
