// A kernel route of ours as a value: commands for iproute2, and what `ip -j route show` says (docs/bgp.md "Kernel").

import { type Cidr, formatCidr, formatIp, type IpAddress, parseCidr, parseIp } from '../../../lib/net/ip.ts';

/** Without next hops: a blackhole. */
export interface KernelRoute {
  readonly prefix: Cidr;
  readonly nextHops: readonly IpAddress[];
}

/** Equal for equal routes, whatever the order of their next hops. */
export function routeKey(route: KernelRoute): string {
  return route.nextHops.map(formatIp).sort().join(' ');
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
  if (others.length === 0) return `route ${action} ${prefix} via ${formatIp(first)} proto ${protocol}`;
  const hops = route.nextHops.map((hop) => `nexthop via ${formatIp(hop)}`).join(' ');
  return `route ${action} ${prefix} proto ${protocol} ${hops}`;
}

interface ListedRoute {
  readonly type?: string;
  readonly dst?: string;
  readonly gateway?: string;
  readonly via?: { readonly host?: string };
  readonly nexthops?: readonly { readonly gateway?: string }[];
}

/** Output of `ip -j route show`; what cannot be read is left out. */
export function parseRoutes(json: string): KernelRoute[] {
  const listed = JSON.parse(json === '' ? '[]' : json) as readonly ListedRoute[];
  const routes: KernelRoute[] = [];
  for (const { dst, gateway, via, nexthops, type } of listed) {
    const text = dst === 'default' ? defaultOf(gateway ?? nexthops?.[0]?.gateway) : dst;
    const prefix = text === undefined ? undefined : parseCidr(text);
    if (prefix === undefined) continue;
    const gateways = nexthops === undefined ? [gateway ?? via?.host] : nexthops.map((hop) => hop.gateway);
    const nextHops = gateways.map((one) => (one === undefined ? undefined : parseIp(one)));
    const known = nextHops.filter((hop) => hop !== undefined);
    // A route of ours without a gateway is a blackhole, or one that we cannot have made; either way it gets replaced.
    if (known.length > 0 || type === 'blackhole') routes.push({ prefix, nextHops: known });
  }
  return routes;
}

function defaultOf(gateway: string | undefined): string {
  return gateway?.includes(':') === true ? '::/0' : '0.0.0.0/0';
}
