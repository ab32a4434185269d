// The one compiled form of policy. The evaluator (explain, test) and the nftables renderer both read it; the compiler
// and the calculation graph write it. Selectors are resolved to numbers of identities, never to addresses.
//
// Vocabulary (docs/policy.md):
//   identity   a number for one distinct pair of (effective labels, named ports). Endpoints and network sets that
//              agree in both share one. Counted up from 1 by whoever builds the form, never given out twice.
//   member     a network (an address as /32 or /128, or a set's CIDR) and the identities that it carries.
//   selector   canonical text and id (`s:…`), resolved to the set of identities that it matches. The endpoints of a service
//              are selected in the same way (`svc:…`, `svcnoport:…`; services.ts).

import type { Family } from '../net/ip.ts';

export type IdentityId = number;
/** `s:` + hash of the canonical selector, or `svc:`, `svcnoport:` + hash of a service, as Calico names its IP sets. */
export type SelectorId = string;
export type Direction = 'ingress' | 'egress';
export type RuleVerdict = 'allow' | 'deny' | 'pass' | 'log';
/** Calico's, the staged ones among them. */
export const POLICY_KINDS = [
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
] as const;

export type PolicyKind = (typeof POLICY_KINDS)[number];

export interface PolicyId {
  readonly kind: PolicyKind;
  /** Empty for global kinds. */
  readonly namespace: string;
  readonly name: string;
}

/** Text key of a policy: `Kind/namespace/name`, with an empty namespace for global ones. */
export function policyKey(id: PolicyId): string {
  return `${id.kind}/${id.namespace}/${id.name}`;
}

/** Where a verdict came from. `index` counts from 0 in the policy's list for that direction. */
export type RuleRef =
  | {
      readonly type: 'policy';
      readonly policy: PolicyId;
      readonly direction: Direction;
      readonly index: number;
    }
  | {
      readonly type: 'profile';
      readonly profile: string;
      readonly direction: Direction;
      readonly index: number;
    };

/** Text key of the policy or profile that has the rule, in the form of `policyKey`. */
export function ruleOwnerKey(ref: RuleRef): string {
  return ref.type === 'policy' ? policyKey(ref.policy) : `Profile//${ref.profile}`;
}

/** IANA protocol numbers; named protocols are resolved by the compiler. */
export type ProtocolNumber = number;

export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/**
 * Packets to (from) a port that endpoints call `name`, if the endpoint's identity is matched by the selector. Ports of
 * services have the empty name.
 */
export interface NamedPort {
  /** Undefined: any protocol's port of that name. */
  readonly protocol: ProtocolNumber | undefined;
  readonly name: string;
  readonly selector: SelectorId;
}

/**
 * One side of a rule. All given criteria must hold; within a list any entry does. An absent or empty list is no criterion.
 * `ports` and `namedPorts` together are one criterion (either matches); so are `notPorts` and `notNamedPorts`.
 */
export interface CompiledEntity {
  /** Canonical CIDRs. */
  readonly nets: readonly string[];
  readonly notNets: readonly string[];
  /** All must match (Calico makes at most one). */
  readonly selectors: readonly SelectorId[];
  /** None may match. */
  readonly notSelectors: readonly SelectorId[];
  readonly ports: readonly PortRange[];
  readonly namedPorts: readonly NamedPort[];
  readonly notPorts: readonly PortRange[];
  readonly notNamedPorts: readonly NamedPort[];
}

export interface CompiledRule {
  readonly ref: RuleRef;
  readonly verdict: RuleVerdict;
  readonly ipVersion: Family | undefined;
  readonly protocol: ProtocolNumber | undefined;
  readonly notProtocol: ProtocolNumber | undefined;
  readonly icmp: { readonly type: number; readonly code: number | undefined } | undefined;
  readonly notIcmp: { readonly type: number; readonly code: number | undefined } | undefined;
  readonly source: CompiledEntity;
  readonly destination: CompiledEntity;
}

/** Part of a rule that nothing here enforces, and what became of the rule. */
export interface NotEnforced {
  readonly ref: RuleRef;
  /** Path in the resource: `spec.ingress[0].source.services`. */
  readonly field: string;
  /** One sentence. */
  readonly effect: string;
}

export interface CompiledPolicy {
  readonly id: PolicyId;
  readonly tier: string;
  readonly ingress: readonly CompiledRule[];
  readonly egress: readonly CompiledRule[];
  readonly governs: { readonly ingress: boolean; readonly egress: boolean };
  readonly staged: boolean;
  readonly untracked: boolean;
  readonly preDnat: boolean;
  readonly applyOnForward: boolean;
  /** Absent if all of it is enforced. */
  readonly notEnforced?: readonly NotEnforced[];
  /** etcd revision of the policy it was compiled from. */
  readonly revision: number;
}

export interface CompiledProfile {
  readonly name: string;
  readonly ingress: readonly CompiledRule[];
  readonly egress: readonly CompiledRule[];
  /** Absent if all of it is enforced. */
  readonly notEnforced?: readonly NotEnforced[];
  /** False: named by an endpoint but not in the datastore, so it denies everything. */
  readonly exists: boolean;
}

/** A selector that some active rule uses. */
export interface CompiledSelector {
  readonly id: SelectorId;
  readonly canonical: string;
}

export interface IdentityPort {
  readonly name: string;
  readonly protocol: ProtocolNumber;
  readonly port: number;
}

export interface Identity {
  readonly id: IdentityId;
  /** Effective: own labels over inherited ones. */
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly IdentityPort[];
  /** `namespace/name`: the identity of endpoints of this service. It has no labels, and no selector over labels matches it. */
  readonly service?: string;
}

/** The policies of one tier that apply to an endpoint, in order. Tiers without any are left out. */
export interface EndpointTier {
  readonly name: string;
  readonly defaultAction: 'deny' | 'pass';
  readonly ingress: readonly PolicyId[];
  readonly egress: readonly PolicyId[];
}

export interface WorkloadEndpointId {
  readonly host: string;
  readonly orchestrator: string;
  /** `namespace/workload`. */
  readonly workload: string;
  readonly endpoint: string;
}
export function workloadEndpointKey(id: WorkloadEndpointId): string {
  return `${id.host}/${id.orchestrator}/${id.workload}/${id.endpoint}`;
}

export interface CompiledWorkloadEndpoint {
  readonly id: WorkloadEndpointId;
  readonly interfaceName: string;
  readonly mac: string | undefined;
  /** Canonical /32 and /128. */
  readonly nets4: readonly string[];
  readonly nets6: readonly string[];
  readonly allowSpoofedSourcePrefixes: readonly string[];
  readonly profiles: readonly string[];
  readonly tiers: readonly EndpointTier[];
  readonly identity: IdentityId;
  /** Name of the BGPPeer that lets it peer with its host: port 179 of the host is open to it. */
  readonly localBgpPeer?: string;
  /** Addresses that its host has on its interface, for it to peer with. */
  readonly peeringAddresses?: readonly string[];
  /** etcd revision of the WorkloadEndpoint. */
  readonly revision: number;
}

export function hostEndpointKey({ host, endpoint }: CompiledHostEndpoint['id']): string {
  return `${host}/${endpoint}`;
}

export interface CompiledHostEndpoint {
  readonly id: { readonly host: string; readonly endpoint: string };
  readonly interfaceName: string | undefined;
  readonly expectedIps: readonly string[];
  readonly profiles: readonly string[];
  readonly tiers: readonly EndpointTier[];
  readonly untrackedTiers: readonly EndpointTier[];
  readonly preDnatTiers: readonly EndpointTier[];
  readonly forwardTiers: readonly EndpointTier[];
  readonly revision: number;
}
