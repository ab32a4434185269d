// What two speakers agreed on in OPEN and decoding depends on: fixed for the life of a session.

import { MAX_MESSAGE_LENGTH } from './header.ts';
import type { AddressFamily } from './iana.ts';

export interface CodecContext {
  readonly peerType: 'internal' | 'external';
  /** AS of the peer: the first AS of an external peer's paths. */
  readonly peerAsn: number;
  /** Whether it has to be (RFC 4271 §6.3); route servers leave themselves out (RFC 7947 §2.2.2.1). */
  readonly enforceFirstAs: boolean;
  /** Both sides sent capability 65 (RFC 6793): AS numbers have four octets in AS_PATH and AGGREGATOR. */
  readonly fourOctetAs: boolean;
  readonly families: ReadonlySet<AddressFamily>;
  /** Families whose NLRI have a path id in what the peer sends (RFC 7911). */
  readonly addPathReceive: ReadonlySet<AddressFamily>;
  /** Families whose NLRI have a path id in what we send. */
  readonly addPathSend: ReadonlySet<AddressFamily>;
  /** Both sides sent capability 5 for IPv4 unicast (RFC 8950): its next hops may be IPv6 addresses. */
  readonly extendedNextHop: boolean;
  /** Both sides sent capability 70 (RFC 7313): ROUTE-REFRESH messages of a wrong length end the session with 7/1. */
  readonly enhancedRefresh: boolean;
  /** Greatest message that the peer takes, in octets (RFC 8654). */
  readonly maxMessageLength: number;
}

/** Before the OPENs have met: no family, nothing agreed on. */
export const UNNEGOTIATED: CodecContext = {
  peerType: 'external',
  peerAsn: 0,
  enforceFirstAs: true,
  fourOctetAs: true,
  families: new Set(),
  addPathReceive: new Set(),
  addPathSend: new Set(),
  extendedNextHop: false,
  enhancedRefresh: false,
  maxMessageLength: MAX_MESSAGE_LENGTH,
};
