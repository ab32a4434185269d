// Contexts and hex for the codec tests.

import { type CodecContext, UNNEGOTIATED } from '../../../../agents/bgp/packet/context.ts';
import { DecodeError, type Notification } from '../../../../agents/bgp/packet/errors.ts';

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

/** Body of an UPDATE, of hex texts: path attributes, NLRI and withdrawn routes without their lengths. */
export function updateBody(attributes: string, nlri: string, withdrawn = ''): Uint8Array {
  const size = (text: string): string => (text.replaceAll(' ', '').length / 2).toString(16).padStart(4, '0');
  return hex(`${size(withdrawn)}${withdrawn}${size(attributes)}${attributes}${nlri}`);
}

/** The NOTIFICATION of the DecodeError that the call throws. */
export function resetBy(call: () => unknown): Notification {
  try {
    call();
  } catch (error) {
    if (error instanceof DecodeError) return error.type.notification;
    throw error;
  }
  throw new Error('nothing was thrown');
}
