// What stands in the kernel for a destination, and why not what should.

import { formatIp, type NextHop } from '../../../lib/net/ip.ts';
import type { BgpdKernelRoute } from '../../../lib/protocol/bgpd-routes.ts';
import type { KernelLookup } from '../kernel/kernel-routes.ts';
import { routeKey } from '../kernel/route.ts';

export function kernelView(found: KernelLookup): BgpdKernelRoute {
  const { desired, actual, error } = found;
  const nextHops = (actual ?? desired)?.nextHops.map(hopText) ?? [];
  if (desired === undefined) return { state: 'none', nextHops: [], why: absentWords(found) };
  if (error !== undefined)
    return { state: 'failed', nextHops, error, why: `the kernel refuses it: ${error}; it is tried again` };
  if (actual !== undefined && routeKey(actual) === routeKey(desired))
    return { state: 'installed', nextHops, why: installedWords(nextHops) };
  return { state: 'waiting', nextHops, why: 'it is about to be written' };
}

function absentWords({ isEnabled, isLearned, isAllowed }: KernelLookup): string {
  if (!isEnabled) return 'bgpd is configured to leave the kernel alone (kernel.enabled)';
  if (!isLearned) return 'no path from a peer is the best one, so there is no way to install';
  return isAllowed
    ? 'no route is to be there'
    : 'the configuration keeps it out of the kernel (kernel.onlyPrefixes, exceptPrefixes)';
}

function installedWords(nextHops: readonly string[]): string {
  return nextHops.length === 0 ? 'installed as a blackhole' : `installed via ${nextHops.join(', ')}`;
}

function hopText(hop: NextHop): string {
  return hop.zone === undefined ? formatIp(hop) : `${formatIp(hop)}%${hop.zone}`;
}
