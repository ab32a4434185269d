// What of tunnels this host's kernel is to have: devices, forwarding entries, neighbours, routes and blackholes, worked out from
// the calculation graph's messages (Felix's vxlan_mgr.go, ipip_mgr.go and route_mgr.go; WireGuard beside them). Pure;
// docs/dataplane.md "Tunnels".

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
import type { RouteUpdate, VtepUpdate } from '../calc/messages.ts';
import {
  type Overlay,
  type OverlayInputs,
  TUNNEL_DEVICES,
  type TunnelKind,
  type TunnelLink,
  type TunnelRoute,
} from './overlay-model.ts';
import { hostMtu, tunnelMtu, usedTunnels } from './tunnel-mtu.ts';
import { wireguardOverlay } from './wireguard-overlay.ts';

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
  const wireguard = [wireguardOverlay(inputs, 4), wireguardOverlay(inputs, 6)].filter(
    (overlay) => overlay !== undefined,
  );
  return {
    links: [...links, ...wireguard.map(({ link }) => link)],
    neighbours: ends.map(({ device, address, mac }) => ({ device, address, mac })),
    forwarding: ends.map(({ device, mac, host }) => ({ device, mac, host })),
    routes: [
      ...routes.sort(byDestination),
      ...wireguard.flatMap((overlay) => overlay.routes).sort(byDestination),
    ],
    rules: wireguard.map(({ rule }) => rule),
  };
}

function byDestination(a: TunnelRoute, b: TunnelRoute): number {
  return a.dst < b.dst ? -1 : 1;
}

function isUsed({ encapsulation, settings }: OverlayInputs, kind: TunnelKind, family: Family): boolean {
  return usedTunnels(encapsulation, settings).some((use) => use.kind === kind && use.family === family);
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
