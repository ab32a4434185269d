// A kernel route of ours as a value: commands for iproute2, and what `ip -j route show` says (docs/bgp.md "Kernel").

import {
  type Cidr,
  cidrContains,
  type Family,
  formatCidr,
  formatIp,
  type IpAddress,
  isLinkLocal,
  type NextHop,
  parseCidr,
  parseIp,
} from '../../../lib/net/ip.ts';

/** Without next hops: a blackhole. */
export interface KernelRoute {
  readonly prefix: Cidr;
  readonly nextHops: readonly NextHop[];
}

/** As the kernel has it. */
export interface ListedKernelRoute extends KernelRoute {
  /** Names of the interfaces that it goes through. */
  readonly devices: readonly string[];
}

/**
 * The route with next hops that a static route leads to replaced by its gateway: the kernel takes gateways of a connected
 * subnet alone (RFC 4271 §9.1.2.1 leaves their resolution to the speaker).
 */
export function throughGateways(
  route: KernelRoute,
  staticRoutes: readonly { readonly prefix: Cidr; readonly via: IpAddress }[],
): KernelRoute {
  if (staticRoutes.length === 0) return route;
  const nextHops = route.nextHops.map(
    (hop): NextHop => staticRoutes.find(({ prefix }) => cidrContains(prefix, hop))?.via ?? hop,
  );
  return { ...route, nextHops: [...new Map(nextHops.map((hop) => [hopKey(hop), hop])).values()] };
}

/** Equal for equal routes, whatever the order of their next hops. */
export function routeKey(route: KernelRoute): string {
  return route.nextHops.map(hopKey).sort().join(' ');
}

function hopKey(hop: NextHop): string {
  return `${formatIp(hop)}%${hop.zone ?? ''}`;
}

/**
 * `add` fails where anybody's route for the prefix is there already, ours or not. `replace` takes the place of whatever
 * is there: only for what was just seen to be ours. `del` names the protocol, so that it cannot hit another's.
 */
export function routeCommand(
  action: 'add' | 'replace' | 'del',
  route: KernelRoute,
  protocol: number,
): string {
  const prefix = formatCidr(route.prefix);
  const [first, ...others] = route.nextHops;
  if (action === 'del')
    return `route del ${first === undefined ? 'blackhole ' : ''}${prefix} proto ${protocol}`;
  if (first === undefined) return `route ${action} blackhole ${prefix} proto ${protocol}`;
  if (others.length === 0) return `route ${action} ${prefix} ${viaOf(route, first)} proto ${protocol}`;
  const hops = route.nextHops.map((hop) => `nexthop ${viaOf(route, hop)}`).join(' ');
  return `route ${action} ${prefix} proto ${protocol} ${hops}`;
}

/** `via inet6 fe80::1 dev eth0`: the family where it is not the prefix's own, the interface of a link-local address. */
function viaOf({ prefix }: KernelRoute, hop: NextHop): string {
  const family = hop.family === prefix.family ? '' : `inet${hop.family === 6 ? '6' : ''} `;
  return `via ${family}${formatIp(hop)}${hop.zone === undefined ? '' : ` dev ${hop.zone}`}`;
}

interface ListedHop {
  readonly gateway?: string;
  /** A next hop of the other family. */
  readonly via?: { readonly host?: string };
  readonly dev?: string;
}

interface ListedRoute extends ListedHop {
  readonly type?: string;
  readonly dst?: string;
  readonly nexthops?: readonly ListedHop[];
}

/** Output of `ip -4 -j route show`, or of `-6`; what cannot be read is left out. */
export function parseRoutes(json: string, family: Family): ListedKernelRoute[] {
  const listed = JSON.parse(json === '' ? '[]' : json) as readonly ListedRoute[];
  const routes: ListedKernelRoute[] = [];
  for (const route of listed) {
    const { dst, nexthops, type } = route;
    const prefix = dst === 'default' ? { family, base: 0n, length: 0 } : parseCidr(dst ?? '');
    if (prefix === undefined) continue;
    const hops = nexthops ?? [route];
    const nextHops = hops.flatMap((hop) => nextHopOf(hop) ?? []);
    const devices = hops.flatMap(({ dev }) => dev ?? []);
    // A route of ours without a gateway is a blackhole, or one that we cannot have made; either way it gets replaced.
    if (nextHops.length > 0 || type === 'blackhole') routes.push({ prefix, nextHops, devices });
  }
  return routes;
}

function nextHopOf({ gateway, via, dev }: ListedHop): NextHop | undefined {
  const hop = parseIp(gateway ?? via?.host ?? '');
  return hop === undefined || !isLinkLocal(hop) ? hop : { ...hop, zone: dev };
}
