// The link-layer address of a workload's end of its link.

import { randomBytes } from 'node:crypto';

/** Locally administered, unicast. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
