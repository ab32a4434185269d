// What the nodes of the calculation graph read: the datastore's objects by themselves, already parsed, compiled and
// checked by the update processors (Felix's v1 model of libcalico-go backend/model, as the syncers deliver it).

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import type { PolicyCompilation, ProfileCompilation } from '../../../lib/policy/compile.ts';
import type { IdentityPort, PolicyId, WorkloadEndpointId } from '../../../lib/policy/compiled.ts';
import type { LocalBgpPeer } from '../../../lib/policy/local-bgp-peers.ts';
import type { SliceMembers } from '../../../lib/policy/services.ts';
import type { Labels } from '../../../lib/selector/expression.ts';
import type { SelectedSettings, Settings } from './config-batcher.ts';

export interface HostEndpointId {
  readonly host: string;
  readonly endpoint: string;
}

/** What all labelled things have. `labels` are the thing's own; those of its profiles come below them, in order. */
export interface LabelledInput {
  readonly labels: Labels;
  readonly profiles: readonly string[];
}

export interface WorkloadEndpointInput extends LabelledInput {
  readonly interfaceName: string;
  readonly mac: string | undefined;
  /** Canonical /32. */
  readonly nets4: readonly string[];
  /** Canonical /128. */
  readonly nets6: readonly string[];
  readonly ports: readonly IdentityPort[];
  readonly allowSpoofedSourcePrefixes: readonly string[];
  readonly revision: number;
}

export interface HostEndpointInput extends LabelledInput {
  readonly interfaceName: string | undefined;
  /** Canonical /32 and /128. */
  readonly expectedIps: readonly string[];
  readonly ports: readonly IdentityPort[];
  readonly revision: number;
}

export interface NetworkSetInput extends LabelledInput {
  /** Canonical. */
  readonly nets: readonly string[];
}

export interface PolicyInput extends PolicyCompilation {
  /** Has a rule that only an application-layer proxy can match (HTTP, service accounts). */
  readonly isApplicationLayer: boolean;
}

export type ProfileRulesInput = Pick<ProfileCompilation, 'profile' | 'selectors'>;

export interface TierInput {
  /** Undefined sorts last. */
  readonly order: number | undefined;
  readonly defaultAction: 'deny' | 'pass';
}

export interface PoolInput {
  readonly cidr: Cidr;
  readonly encapsulation: 'vxlan' | 'ipip' | 'no-encap';
  readonly isCrossSubnet: boolean;
  readonly natOutgoing: boolean;
}

/** What an IPAM block says of routes: `routes` has the block itself under its host, and addresses that others hold. */
export interface BlockInput {
  readonly routes: readonly { readonly dst: Cidr; readonly node: string }[];
}

export interface NodeFamilyAddress {
  readonly address: IpAddress;
  /** The node's subnet; of one address if it was given without a length. */
  readonly subnet: Cidr;
  /** As in the Node, if it had a length there. */
  readonly text: string | undefined;
}

export type TunnelKind = 'wireguard' | 'ipip' | 'vxlan';

export interface NodeInput {
  /** From `spec.bgp`, else from `spec.addresses`. */
  readonly ipv4: NodeFamilyAddress | undefined;
  readonly ipv6: NodeFamilyAddress | undefined;
  /** Whether the addresses are those of `spec.bgp`: only they make VTEPs and host addresses. */
  readonly isBgpAddress: boolean;
  readonly otherAddresses: readonly IpAddress[];
  readonly tunnels: readonly { readonly kind: TunnelKind; readonly address: IpAddress }[];
}

export interface WireguardInput {
  readonly key: string | undefined;
  readonly ipv4: string | undefined;
  readonly keyV6: string | undefined;
  readonly ipv6: string | undefined;
}

/** Of a host's VXLAN device; left out = not set. */
export interface VxlanTunnelInput {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly mac: string | undefined;
  readonly macV6: string | undefined;
}

/** "This is now so", or without a value "this is now absent". May repeat, and may name what never was. */
export type CalcInput =
  | {
      readonly type: 'workloadEndpoint';
      readonly id: WorkloadEndpointId;
      readonly value: WorkloadEndpointInput | undefined;
    }
  | {
      readonly type: 'hostEndpoint';
      readonly id: HostEndpointId;
      readonly value: HostEndpointInput | undefined;
    }
  /** `name` is `name` or `namespace/name`. */
  | { readonly type: 'networkSet'; readonly name: string; readonly value: NetworkSetInput | undefined }
  /** `name` is `namespace/name` of an EndpointSlice. */
  | { readonly type: 'endpointSlice'; readonly name: string; readonly value: SliceMembers | undefined }
  | { readonly type: 'policy'; readonly id: PolicyId; readonly value: PolicyInput | undefined }
  | { readonly type: 'tier'; readonly name: string; readonly value: TierInput | undefined }
  | { readonly type: 'profileRules'; readonly name: string; readonly value: ProfileRulesInput | undefined }
  | { readonly type: 'profileLabels'; readonly name: string; readonly value: Labels | undefined }
  /** `key` tells pools apart; what a pool is, its value says. */
  | { readonly type: 'pool'; readonly key: string; readonly value: PoolInput | undefined }
  | { readonly type: 'block'; readonly cidr: string; readonly value: BlockInput | undefined }
  | { readonly type: 'node'; readonly name: string; readonly value: NodeInput | undefined }
  | { readonly type: 'vxlanTunnel'; readonly host: string; readonly value: VxlanTunnelInput | undefined }
  | { readonly type: 'wireguard'; readonly host: string; readonly value: WireguardInput | undefined }
  /** Addresses that hosts have for workloads that peer with them; canonical. */
  | { readonly type: 'peeringAddresses'; readonly value: readonly string[] }
  | { readonly type: 'bgpPeer'; readonly name: string; readonly value: LocalBgpPeer | undefined }
  | { readonly type: 'nodeLabels'; readonly name: string; readonly value: Labels | undefined }
  /** Felix's settings for all hosts, for some, and for this one. */
  | { readonly type: 'globalConfig'; readonly value: Settings | undefined }
  | { readonly type: 'selectedConfig'; readonly name: string; readonly value: SelectedSettings | undefined }
  | { readonly type: 'hostConfig'; readonly value: Settings | undefined };
