// Contexts and hex for the codec tests.

import { type CodecContext, UNNEGOTIATED } from '../../../../agents/bgp/packet/context.ts';

export const INTERNAL: CodecContext = {
  ...UNNEGOTIATED,
  peerType: 'internal',
  peerAsn: 65000,
  families: new Set(['ipv4Unicast', 'ipv6Unicast']),
};
export const EXTERNAL: CodecContext = { ...INTERNAL, peerType: 'external', peerAsn: 65001 };

/** Octets of a hex text; blanks are for the reader. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

export function toHex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}
