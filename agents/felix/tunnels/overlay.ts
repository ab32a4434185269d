// What of tunnels this host's kernel is to have: devices, forwarding entries, neighbours, routes and blackholes, worked out from
// the calculation graph's messages (Felix's vxlan_mgr.go, ipip_mgr.go and route_mgr.go). Pure; docs/dataplane.md "Tunnels".

import {
  type Cidr,
  type Family,
  familyBits,
  formatCidr,
  formatIp,
  hostCidr,
  type IpAddress,
  parseCidr,
  parseIp,
  withoutLength,
} from '../../../lib/net/ip.ts';
import type { FelixSettings } from '../calc/felix-settings.ts';
import type { Encapsulation, RouteUpdate, VtepUpdate } from '../calc/messages.ts';

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
>;

export type TunnelKind = 'vxlan' | 'ipip';

/** A tunnel device of this host. */
export interface TunnelLink {
  readonly name: string;
  readonly kind: TunnelKind;
  readonly family: Family;
  /** Link-layer address; undefined for IPIP, which has none. */
  readonly mac: string | undefined;
  readonly mtu: number;
  /** Its only address, as /32 or /128; undefined until the node has one. */
  readonly address: string | undefined;
  /** VXLAN alone: network identifier, UDP port, and the address and interface that outer packets leave by. */
  readonly vxlan:
    | { readonly vni: number; readonly port: number; readonly local: string; readonly parent: string }
    | undefined;
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
  /** Undefined: a blackhole. */
  readonly device: string | undefined;
  /** Undefined: the destination is on the link. */
  readonly via: string | undefined;
}

export interface Overlay {
  readonly links: readonly TunnelLink[];
  readonly neighbours: readonly TunnelNeighbour[];
  readonly forwarding: readonly ForwardingEntry[];
  readonly routes: readonly TunnelRoute[];
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
  readonly settings: TunnelSettings;
  readonly underlay: Underlay;
}

/** What a tunnel takes of each packet. */
const OVERHEAD: Readonly<Record<TunnelKind, Readonly<Record<Family, number>>>> = {
  ipip: { 4: 20, 6: 40 },
  vxlan: { 4: 50, 6: 70 },
};
export const TUNNEL_DEVICES = { vxlan4: 'vxlan.calico', vxlan6: 'vxlan-v6.calico', ipip4: 'tunl0' } as const;
/** IPv6's least MTU; below it the kernel takes IPv6 off the device. */
const LEAST_MTU = 1280;
const DEFAULT_MTU = 1500;

export function overlayOf(inputs: OverlayInputs): Overlay {
  const links = [vxlanLink(inputs, 4), vxlanLink(inputs, 6), ipipLink(inputs)].filter(
    (link) => link !== undefined,
  );
  const byKind = (kind: TunnelKind, family: Family): TunnelLink | undefined =>
    links.find((link) => link.kind === kind && link.family === family);
  const ends = [4 as const, 6 as const].flatMap((family) => {
    const link = byKind('vxlan', family);
    return link === undefined ? [] : remoteEnds(inputs, link);
  });
  const routes = [...inputs.routes.values()].flatMap((route) => routeOf(route, inputs, byKind) ?? []);
  return {
    links,
    neighbours: ends.map(({ device, address, mac }) => ({ device, address, mac })),
    forwarding: ends.map(({ device, mac, host }) => ({ device, mac, host })),
    routes: routes.sort((a, b) => (a.dst < b.dst ? -1 : 1)),
  };
}

/** MTU of workloads: what the host's interfaces carry, less what the tunnels in use take. */
export function workloadMtu(inputs: Omit<OverlayInputs, 'hostname' | 'vteps' | 'routes'>): number {
  const { encapsulation, settings } = inputs;
  const mtu = hostMtu(inputs);
  const uses = usedTunnels(encapsulation, settings);
  return Math.min(mtu, ...uses.map(({ kind, family }) => tunnelMtu(kind, family, settings, mtu)));
}

function hostMtu({ underlay, nodeAddress }: Pick<OverlayInputs, 'underlay' | 'nodeAddress'>): number {
  const own = nodeAddress[4] ?? nodeAddress[6];
  const carrier = own === undefined ? undefined : underlay.interfaceOf(own);
  return underlay.mtu ?? carrier?.mtu ?? DEFAULT_MTU;
}

/** Which tunnels pools or settings ask for. */
export function usedTunnels(
  encapsulation: Encapsulation,
  { vxlanEnabled, ipipEnabled, hasIpv6 }: TunnelSettings,
): readonly { readonly kind: TunnelKind; readonly family: Family }[] {
  return [
    ...((vxlanEnabled ?? encapsulation.vxlan) ? [{ kind: 'vxlan' as const, family: 4 as const }] : []),
    // The setting is of IPv4 alone.
    ...(encapsulation.vxlanV6 && hasIpv6 ? [{ kind: 'vxlan' as const, family: 6 as const }] : []),
    ...((ipipEnabled ?? encapsulation.ipip) ? [{ kind: 'ipip' as const, family: 4 as const }] : []),
  ];
}

function isUsed({ encapsulation, settings }: OverlayInputs, kind: TunnelKind, family: Family): boolean {
  return usedTunnels(encapsulation, settings).some((use) => use.kind === kind && use.family === family);
}

function tunnelMtu(kind: TunnelKind, family: Family, settings: TunnelSettings, hostMtu: number): number {
  const set = kind === 'ipip' ? settings.ipipMtu : family === 4 ? settings.vxlanMtu : settings.vxlanMtuV6;
  return set > 0 ? set : Math.max(LEAST_MTU, hostMtu - OVERHEAD[kind][family]);
}

/** Only once the node has its own tunnel address, and an interface carries the node's address. */
function vxlanLink(inputs: OverlayInputs, family: Family): TunnelLink | undefined {
  if (!isUsed(inputs, 'vxlan', family)) return undefined;
  const own = endOf(inputs.vteps.get(inputs.hostname), family);
  const parent = own && inputs.underlay.interfaceOf(own.host);
  if (own === undefined || parent === undefined) return undefined;
  const { settings } = inputs;
  return {
    name: family === 4 ? TUNNEL_DEVICES.vxlan4 : TUNNEL_DEVICES.vxlan6,
    kind: 'vxlan',
    family,
    mac: own.mac,
    mtu: tunnelMtu('vxlan', family, settings, Math.min(parent.mtu, hostMtu(inputs))),
    address: own.address,
    vxlan: { vni: settings.vxlanVni, port: settings.vxlanPort, local: own.host, parent: parent.name },
  };
}

function ipipLink(inputs: OverlayInputs): TunnelLink | undefined {
  if (!isUsed(inputs, 'ipip', 4) || !inputs.settings.programsIpip) return undefined;
  const own = [...inputs.routes.values()].find(
    ({ types, tunnel, node }) =>
      types.includes('local-tunnel') && tunnel === 'ipip' && node === inputs.hostname,
  );
  return {
    name: TUNNEL_DEVICES.ipip4,
    kind: 'ipip',
    family: 4,
    mac: undefined,
    mtu: tunnelMtu('ipip', 4, inputs.settings, hostMtu(inputs)),
    address: own && withoutLength(own.dst),
    vxlan: undefined,
  };
}

interface TunnelEnd {
  readonly mac: string;
  readonly ip: IpAddress;
  /** `ip` as text. */
  readonly address: string;
  /** Address that tunnel packets go to. */
  readonly host: string;
}

function endOf(vtep: VtepUpdate | undefined, family: Family): TunnelEnd | undefined {
  const mac = family === 4 ? vtep?.mac : vtep?.macV6;
  const address = family === 4 ? vtep?.ipv4 : vtep?.ipv6;
  const host = family === 4 ? vtep?.parentIpv4 : vtep?.parentIpv6;
  if (mac === undefined || address === undefined || host === undefined) return undefined;
  const ip = parseIp(address);
  return ip === undefined ? undefined : { mac: mac.toLowerCase(), ip, address: formatIp(ip), host };
}

function remoteEnds(
  { vteps, hostname }: OverlayInputs,
  link: TunnelLink,
): readonly (TunnelEnd & { readonly device: string })[] {
  return [...vteps.values()].flatMap((vtep) => {
    const end = vtep.node === hostname ? undefined : endOf(vtep, link.family);
    return end === undefined ? [] : [{ device: link.name, ...end }];
  });
}

type LinkFinder = (kind: TunnelKind, family: Family) => TunnelLink | undefined;

function routeOf(route: RouteUpdate, inputs: OverlayInputs, linkOf: LinkFinder): TunnelRoute | undefined {
  const cidr = parseCidr(route.dst);
  const { pool } = route;
  if (cidr === undefined || pool === undefined || pool === 'no-encap') return undefined;
  const isOurTask = pool === 'vxlan' || inputs.settings.programsIpip;
  if (!isOurTask || !isUsed(inputs, pool, cidr.family)) return undefined;
  if (route.node === inputs.hostname) return blackholeOf(route, cidr);
  const isTunnelEnd = route.types.includes('remote-tunnel') && route.borrowed;
  if (!route.types.includes('remote-workload') && !isTunnelEnd) return undefined;
  if (route.sameSubnet) return directRoute(route, cidr.family, inputs);
  const link = linkOf(pool, cidr.family);
  return link === undefined ? undefined : tunnelRoute(route, link, inputs.vteps);
}

/** A block of ours: addresses of it that nobody has must not leave by the default route. */
function blackholeOf({ dst, types, localWorkload }: RouteUpdate, cidr: Cidr): TunnelRoute | undefined {
  const isBlock = types.includes('local-workload') && !localWorkload && cidr.length < familyBits(cidr.family);
  return isBlock ? { dst, device: undefined, via: undefined } : undefined;
}

function tunnelRoute(
  { dst, node, nodeIp, types }: RouteUpdate,
  { name, kind, family }: TunnelLink,
  vteps: OverlayInputs['vteps'],
): TunnelRoute | undefined {
  if (kind === 'ipip') return nodeIp === undefined ? undefined : { dst, device: name, via: nodeIp };
  const end = endOf(vteps.get(node ?? ''), family);
  if (end === undefined) return undefined;
  // The address of a tunnel end outside its node's own blocks is the next hop itself.
  const isItself = types.includes('remote-tunnel') && dst === formatCidr(hostCidr(end.ip));
  return { dst, device: name, via: isItself ? undefined : end.address };
}

/** CrossSubnet, and the node is in our own subnet: no tunnel is needed. */
function directRoute(
  { dst, nodeIp }: RouteUpdate,
  family: Family,
  { nodeAddress, underlay }: OverlayInputs,
): TunnelRoute | undefined {
  const own = nodeAddress[family];
  const parent = own === undefined ? undefined : underlay.interfaceOf(own);
  if (nodeIp === undefined || parent === undefined) return undefined;
  return { dst, device: parent.name, via: nodeIp };
}
