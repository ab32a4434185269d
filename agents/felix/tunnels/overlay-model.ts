// What a host's tunnels are: devices, forwarding entries, neighbours, routes and rules, and what they are worked out from. Types alone,
// and the names and numbers that are Calico's (docs/dataplane.md "Tunnels").

import type { Family } from '../../../lib/net/ip.ts';
import type { FelixSettings } from '../calc/felix-settings.ts';
import type {
  Encapsulation,
  HostUpdate,
  RouteUpdate,
  VtepUpdate,
  WireguardUpdate,
} from '../calc/messages.ts';

export type TunnelSettings = Pick<
  FelixSettings,
  | 'vxlanEnabled'
  | 'vxlanVni'
  | 'vxlanPort'
  | 'vxlanMtu'
  | 'vxlanMtuV6'
  | 'ipipEnabled'
  | 'ipipMtu'
  | 'hasIpv6'
  | 'programsIpip'
  | 'wireguard'
  | 'wireguardRulePriority'
  | 'wireguardKeepAliveSeconds'
>;

export type TunnelKind = 'vxlan' | 'ipip' | 'wireguard';

/** A tunnel device of this host. */
export interface TunnelLink {
  readonly name: string;
  readonly kind: TunnelKind;
  readonly family: Family;
  /** Link-layer address; undefined for IPIP and WireGuard, which have none. */
  readonly mac: string | undefined;
  readonly mtu: number;
  /** Its only address, as /32 or /128; undefined until the node has one. */
  readonly address: string | undefined;
  /** VXLAN alone: network identifier, UDP port, and the address and interface that outer packets leave by. */
  readonly vxlan:
    | { readonly vni: number; readonly port: number; readonly local: string; readonly parent: string }
    | undefined;
  readonly wireguard?: WireguardConfiguration;
}

export interface WireguardConfiguration {
  /** Ours: it says which private key the device has. */
  readonly publicKey: string;
  readonly port: number;
  /** Of what the device itself sends. */
  readonly mark: number;
  /** By key. */
  readonly peers: readonly WireguardPeer[];
}

export interface WireguardPeer {
  readonly publicKey: string;
  /** `ADDRESS:PORT`, an IPv6 address in brackets. */
  readonly endpoint: string;
  /** Canonical CIDRs, sorted: whose packets may come from there, and go there. */
  readonly allowedIps: readonly string[];
  /** 0: nothing is sent to a silent peer. */
  readonly keepAliveSeconds: number;
}

/** The address of a remote tunnel end, and its link-layer address. */
export interface TunnelNeighbour {
  readonly device: string;
  readonly address: string;
  readonly mac: string;
}

/** Which host a link-layer address of a tunnel is reached at. */
export interface ForwardingEntry {
  readonly device: string;
  readonly mac: string;
  readonly host: string;
}

export interface TunnelRoute {
  /** Canonical CIDR. */
  readonly dst: string;
  /** Undefined: a blackhole; in a table of its own, `throw`: the tables behind it decide. */
  readonly device: string | undefined;
  /** Undefined: the destination is on the link. */
  readonly via: string | undefined;
  /** Left out: the main one. */
  readonly table?: number;
}

/** Sends to a table whatever does not carry the mark. */
export interface TunnelRule {
  readonly family: Family;
  readonly priority: number;
  readonly mark: number;
  readonly table: number;
}

export interface Overlay {
  readonly links: readonly TunnelLink[];
  readonly neighbours: readonly TunnelNeighbour[];
  readonly forwarding: readonly ForwardingEntry[];
  readonly routes: readonly TunnelRoute[];
  readonly rules: readonly TunnelRule[];
}

/** What of the host itself the devices depend on. */
export interface Underlay {
  /** Interface that has the address, with its MTU; undefined where none has. */
  readonly interfaceOf: (address: string) => { readonly name: string; readonly mtu: number } | undefined;
  /** Least MTU of the interfaces that lead out of the host; undefined if none does by its name. */
  readonly mtu: number | undefined;
}

export interface OverlayInputs {
  readonly hostname: string;
  /** This node's own addresses, without length. */
  readonly nodeAddress: Readonly<Record<Family, string | undefined>>;
  readonly encapsulation: Encapsulation;
  readonly vteps: ReadonlyMap<string, VtepUpdate>;
  readonly routes: ReadonlyMap<string, RouteUpdate>;
  /** Of all nodes. */
  readonly hosts: ReadonlyMap<string, HostUpdate>;
  readonly wireguards: ReadonlyMap<string, WireguardUpdate>;
  /** Our own of WireGuard; undefined: it is not to be had here. */
  readonly publicKeys: Readonly<Record<Family, string | undefined>>;
  readonly settings: TunnelSettings;
  readonly underlay: Underlay;
}

export const TUNNEL_DEVICES = { vxlan4: 'vxlan.calico', vxlan6: 'vxlan-v6.calico', ipip4: 'tunl0' } as const;
/** Routing tables that WireGuard has to itself: the first ones that Calico gives out (`routeTableRanges`). */
export const WIREGUARD_TABLES: Readonly<Record<Family, number>> = { 4: 1, 6: 2 };
/** As in Calico with its default mask; nothing of the table `inet calico` has this bit set where routes are looked up. */
export const WIREGUARD_MARK = 0x200000;
