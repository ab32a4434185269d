// What every workload's link has in common (Calico's interface set-up): the host side's address, and the gateways that the
// pod sees behind it; and the pod's side's address.

import { randomBytes } from 'node:crypto';

export const HOST_SIDE_MAC = 'ee:ee:ee:ee:ee:ee';
export const GATEWAY_V4 = '169.254.1.1';
/** The link-local address that the host side's MAC gives. */
export const GATEWAY_V6 = 'fe80::ecee:eeff:feee:eeee';

/** Locally administered, unicast. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
