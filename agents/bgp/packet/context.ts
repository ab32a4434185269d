// What two speakers agreed on in OPEN and decoding depends on: fixed for the life of a session.

import type { AddressFamily } from './iana.ts';

export interface CodecContext {
  readonly peerType: 'internal' | 'external';
  /** AS of the peer: the first AS of an external peer's paths. */
  readonly peerAsn: number;
  /** Both sides sent capability 65 (RFC 6793): AS numbers have four octets in AS_PATH and AGGREGATOR. */
  readonly fourOctetAs: boolean;
  readonly families: ReadonlySet<AddressFamily>;
  /** Greatest message that the peer takes, in octets (RFC 8654). */
  readonly maxMessageLength: number;
}
