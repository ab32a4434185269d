// The only contract between the calculation graph and the dataplane (Felix's felixbackend.proto, with identities in
// place of IP set members). Order within one flush: identities, members, selectors, policies, profiles, endpoints;
// then removals the other way round; then routes and VTEPs (gone before changed ones), WireGuard, hosts, pools. A consumer
// never meets a dangling reference. An update replaces what was said of the same thing before.

import type {
  CompiledHostEndpoint,
  CompiledPolicy,
  CompiledProfile,
  CompiledSelector,
  CompiledWorkloadEndpoint,
  Identity,
  IdentityId,
  PolicyId,
  SelectorId,
  WorkloadEndpointId,
} from '../../../lib/policy/compiled.ts';

export type RouteType =
  | 'cidr-info'
  | 'local-workload'
  | 'remote-workload'
  | 'local-host'
  | 'remote-host'
  | 'remote-tunnel'
  | 'local-tunnel';

export interface RouteUpdate {
  /** Canonical CIDR. */
  readonly dst: string;
  readonly types: readonly RouteType[];
  readonly pool: 'vxlan' | 'ipip' | 'no-encap' | undefined;
  readonly node: string | undefined;
  readonly nodeIp: string | undefined;
  /** What the address is an end of, for the types of tunnels. */
  readonly tunnel: 'vxlan' | 'ipip' | 'wireguard' | undefined;
  readonly natOutgoing: boolean;
  readonly localWorkload: boolean;
  readonly borrowed: boolean;
  readonly sameSubnet: boolean;
}

export interface VtepUpdate {
  readonly node: string;
  readonly mac: string | undefined;
  readonly ipv4: string | undefined;
  readonly parentIpv4: string | undefined;
  readonly macV6: string | undefined;
  readonly ipv6: string | undefined;
  readonly parentIpv6: string | undefined;
}

export interface HostUpdate {
  readonly host: string;
  /** With prefix length, as in the Node. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** All that the Node has, its ends of tunnels among them; without length, canonical, each once, sorted as text. */
  readonly addresses: readonly string[];
}

export interface PoolUpdate {
  readonly cidr: string;
  readonly natOutgoing: boolean;
}

export interface Encapsulation {
  readonly ipip: boolean;
  readonly vxlan: boolean;
  readonly vxlanV6: boolean;
  readonly noEncap: boolean;
}

export interface WireguardUpdate {
  readonly host: string;
  readonly key: string | undefined;
  readonly ipv4: string | undefined;
  readonly keyV6: string | undefined;
  readonly ipv6: string | undefined;
}

export type CalcMessage =
  | { readonly type: 'configUpdate'; readonly config: Readonly<Record<string, string>> }
  | { readonly type: 'inSync' }
  | { readonly type: 'identityUpdate'; readonly identity: Identity }
  | { readonly type: 'identityRemove'; readonly id: IdentityId }
  /** Replaces what was said of this network; sorted; never empty. */
  | { readonly type: 'memberUpdate'; readonly net: string; readonly identities: readonly IdentityId[] }
  | { readonly type: 'memberRemove'; readonly net: string }
  | {
      readonly type: 'selectorUpdate';
      readonly selector: CompiledSelector;
      readonly identities: readonly IdentityId[];
    }
  | {
      readonly type: 'selectorDelta';
      readonly id: SelectorId;
      readonly added: readonly IdentityId[];
      readonly removed: readonly IdentityId[];
    }
  | { readonly type: 'selectorRemove'; readonly id: SelectorId }
  | { readonly type: 'policyUpdate'; readonly policy: CompiledPolicy }
  | { readonly type: 'policyRemove'; readonly id: PolicyId }
  | { readonly type: 'profileUpdate'; readonly profile: CompiledProfile }
  | { readonly type: 'profileRemove'; readonly name: string }
  | { readonly type: 'workloadEndpointUpdate'; readonly endpoint: CompiledWorkloadEndpoint }
  | { readonly type: 'workloadEndpointRemove'; readonly id: WorkloadEndpointId }
  | { readonly type: 'hostEndpointUpdate'; readonly endpoint: CompiledHostEndpoint }
  | { readonly type: 'hostEndpointRemove'; readonly id: { readonly host: string; readonly endpoint: string } }
  | { readonly type: 'routeUpdate'; readonly route: RouteUpdate }
  | { readonly type: 'routeRemove'; readonly dst: string }
  | { readonly type: 'vtepUpdate'; readonly vtep: VtepUpdate }
  | { readonly type: 'vtepRemove'; readonly node: string }
  | { readonly type: 'hostUpdate'; readonly host: HostUpdate }
  | { readonly type: 'hostRemove'; readonly host: string }
  | { readonly type: 'poolUpdate'; readonly pool: PoolUpdate }
  | { readonly type: 'poolRemove'; readonly cidr: string }
  | { readonly type: 'wireguardUpdate'; readonly wireguard: WireguardUpdate }
  | { readonly type: 'wireguardRemove'; readonly host: string }
  | { readonly type: 'encapsulationUpdate'; readonly encapsulation: Encapsulation };

/** What one flush of the graph gives: applying it brings the dataplane to the state at `revision`. */
export interface CalcFlush {
  readonly messages: readonly CalcMessage[];
  /** etcd revision up to which the datastore's changes are in it. */
  readonly revision: number;
  /** Values met since the last flush that cannot be used; the graph takes them for absent. */
  readonly invalid: readonly InvalidValue[];
}

export interface InvalidValue {
  /** etcd key. */
  readonly key: string;
  readonly revision: number;
  readonly reason: string;
}
