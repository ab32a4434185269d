// Which addresses of ours a peer is told as next hops.

import { type IpAddress, parseScopedIp } from '../../lib/net/ip.ts';
import type { NegotiatedSession } from './fsm/negotiate.ts';
import { ADDRESS_FAMILIES, type AddressFamily, FAMILIES } from './packet/iana.ts';

/**
 * Our address in the session (`local`) for its own family, the configured one for the other; IPv4 without one by our IPv6
 * address where both sides can (RFC 8950).
 */
export function nextHopsTowards(
  { context }: NegotiatedSession,
  local: string,
  configured: ReadonlyMap<AddressFamily, IpAddress>,
): ReadonlyMap<AddressFamily, IpAddress> {
  const nextHops = new Map(configured);
  const address = parseScopedIp(local)?.address;
  if (address === undefined) return nextHops;
  for (const family of ADDRESS_FAMILIES)
    if (FAMILIES[family].ip === address.family) nextHops.set(family, address);
  if (context.extendedNextHop && !nextHops.has('ipv4Unicast')) nextHops.set('ipv4Unicast', address);
  return nextHops;
}
