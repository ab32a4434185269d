// What one node is to do in BGP, in Calico's terms and for one address family: what expand.ts makes of the resources, and
// bgpd-configuration.ts turns into bgpd's configuration. Networks are kept as the resources spell them.

import type { FilterRule } from '../../../lib/model/bgp-types.ts';
import type { Family } from '../../../lib/net/ip.ts';

export type PeerKind = 'mesh' | 'global' | 'node' | 'localWorkload';

/** A key of a Secret in the namespace of Calico's own Secrets. */
export interface SecretKey {
  readonly name: string;
  readonly key: string;
}

export interface PeerIntent {
  readonly kind: PeerKind;
  /** What calicoctl calls it: `Mesh_10_0_0_2`, `Global_10_0_0_2_port_1790`. */
  readonly protocolName: string;
  /** The Calico node at the other end, if it is one; else the BGPPeer. */
  readonly remote: { readonly node: string } | { readonly resource: string };
  /** Canonical. */
  readonly address: string;
  /** Undefined: BGP's own, 179. */
  readonly port: number | undefined;
  readonly asn: number;
  /** Instead of the node's own AS number. */
  readonly localAsn: number | undefined;
  /** The system's choice if undefined. */
  readonly source: string | undefined;
  /** Hops (RFC 5082); undefined: off, and any number of hops. */
  readonly ttlSecurityHops: number | undefined;
  readonly passive: boolean;
  readonly isSameAs: boolean;
  /** Set: the peer is a route reflector client of ours, under this cluster id. */
  readonly clusterId: string | undefined;
  readonly nextHop: 'auto' | 'self' | 'keep';
  readonly allowLocalAs: number | undefined;
  readonly password: SecretKey | undefined;
  /** Seconds. */
  readonly restartTime: number | undefined;
  readonly keepaliveTime: number | undefined;
  /** Gateway through which the peer is reached. */
  readonly reachableBy: string | undefined;
  /** BGPFilters in order, those that exist. */
  readonly filters: readonly string[];
}

export interface FilterIntent {
  readonly imports: readonly FilterRule[];
  readonly exports: readonly FilterRule[];
}

export interface CommunityIntent {
  readonly cidr: string;
  /** `aa:nn` or `aa:nn:mm`. */
  readonly add: readonly string[];
}

/** What becomes of routes into a pool that are learnt by BGP. */
export interface InstallIntent {
  readonly cidr: string;
  readonly action: 'accept' | 'reject';
  /** IPIP device that the routes leave by, but for next hops inside `noTunnelWithin`. */
  readonly tunnel?: string;
  readonly noTunnelWithin?: string;
}

export interface FamilyIntent {
  readonly family: Family;
  /** This node's, canonical; undefined: the family is not spoken and has no peers. */
  readonly address: string | undefined;
  readonly routerId: string;
  readonly asn: number;
  /** This node's own as a route reflector. */
  readonly clusterId: string | undefined;
  /** Undefined address: any; undefined port: 179. */
  readonly listen: { readonly address: string | undefined; readonly port: number | undefined };
  readonly peers: readonly PeerIntent[];
  /** Those that peers name, by name. */
  readonly filters: ReadonlyMap<string, FilterIntent>;
  readonly communities: readonly CommunityIntent[];
  /** Interfaces whose addresses are not taken up; may hold `*`. */
  readonly notDirect: readonly string[];
  /** This node's confirmed blocks, which are announced as a whole. */
  readonly aggregates: readonly string[];
  /** Blocks that lead nowhere where no workload of this node has the address. */
  readonly blackholes: readonly string[];
  /** Networks of services and single services' addresses that this node announces. */
  readonly services: readonly string[];
  /** Networks that others announce too, and that must never become routes here. */
  readonly notInstalled: readonly string[];
  readonly via: readonly { readonly cidr: string; readonly via: string }[];
  /** Routes through these interfaces do not go to peers of the same AS. */
  readonly notToSameAs: readonly string[];
  /** Pools that are not announced, and those that are; for a route reflector, networks of services as well. */
  readonly refused: readonly string[];
  readonly announced: readonly string[];
  /** Normal priority (metric) of routes. */
  readonly routePriority: number;
  readonly install: readonly InstallIntent[];
}

/** Route priority travels as LOCAL_PREF: this less the metric. */
export const PRIORITY_BASE = 2_147_483_647;
