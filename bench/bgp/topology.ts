// Addresses and numbers that the daemon's configuration and the generator share. The daemon sits in a namespace of its own
// behind a cable; the generator has a whole range of addresses at the other end.

import type { Row } from './rows.ts';

export const ASN = 65_000;
export const BGP_PORT = 179;
export const DAEMON_ADDRESS = '10.9.0.1';
export const DAEMON_IPV6 = 'fd09::1';
/** What the daemon announces of its own in a mesh. */
export const DAEMON_PREFIX = '10.8.0.0/26';
/** All of them are the generator's; the daemon's own is outside. */
export const PEER_RANGE = '10.9.128.0/17';

/** Octets of a peer's address, which is its router id as well; `index` from 1, at most 32,766. */
export function peerOctets(index: number): readonly [number, number, number, number] {
  return [10, 9, 128 + (index >> 8), index & 255];
}

export function peerAddress(index: number): string {
  return peerOctets(index).join('.');
}

export function peerAddresses({ senders, receivers }: Row): readonly string[] {
  return Array.from({ length: senders + receivers }, (_, index) => peerAddress(index + 1));
}

/** IPv6 next hop of a peer: `fd09::1:INDEX`, on the daemon's link. */
export function peerIpv6Octets(index: number): readonly number[] {
  return [0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, index >> 8, index & 255];
}
