// The BGP identifier of a node (RFC 6286: 32 bits, not 0), as Calico's `CALICO_ROUTER_ID` chooses it.

import { createHash } from 'node:crypto';
import type { BgpNode } from './node-table.ts';

/** Multicast and reserved addresses are no identifiers. */
const LAST_UNICAST = 223;

/** An address that is set, else the node's IPv4 address; a hash of its name if that is asked for or there is none. */
export function routerIdOf(setting: string | undefined, { name, ipv4 }: BgpNode): string {
  if (setting !== undefined && setting !== '' && setting !== 'hash') return setting;
  return setting === 'hash' || ipv4 === undefined ? hashed(name) : ipv4;
}

function hashed(name: string): string {
  const [first = 0, ...rest] = createHash('sha256').update(name).digest().subarray(0, 4);
  return [first > LAST_UNICAST ? first - 32 : first, ...rest].join('.');
}
