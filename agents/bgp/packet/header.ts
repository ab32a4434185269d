// Message header and framing (RFC 4271 §4.1, §6.1; RFC 8654 §4). Lengths are judged from 19 octets, so that a liar
// cannot hold the session up by announcing a body that never comes.

import { ByteWriter } from './bytes.ts';
import { badLength, headerError } from './errors.ts';
import { HeaderSubcode, MessageType } from './iana.ts';

export const HEADER_LENGTH = 19;
/** Where the type stands. */
export const TYPE_OFFSET = 18;
export const MAX_MESSAGE_LENGTH = 4096;
export const MAX_EXTENDED_MESSAGE_LENGTH = 65535;

const LEAST: Readonly<Record<number, number>> = {
  [MessageType.open]: 29,
  [MessageType.update]: 23,
  [MessageType.notification]: 21,
  [MessageType.keepalive]: 19,
  // Below 23 the decoder refuses it, as the error depends on what was negotiated; it waits for three octets at most.
  [MessageType.routeRefresh]: HEADER_LENGTH,
};

export interface FramingLimits {
  /** Whether we offered extended messages: then UPDATE, NOTIFICATION and ROUTE-REFRESH may have 65,535 octets. */
  readonly extendedMessage: boolean;
}

/** Length and type of the message that begins at `offset`; undefined while fewer than 19 octets are there. */
export function readHeader(
  octets: Uint8Array,
  offset: number,
  limits: FramingLimits,
): { readonly length: number; readonly type: number } | undefined {
  if (octets.length - offset < HEADER_LENGTH) return undefined;
  for (let i = 0; i < 16; i++) {
    if (octets[offset + i] !== 0xff) {
      throw headerError(HeaderSubcode.notSynchronised, new Uint8Array(), 'marker is not all ones');
    }
  }
  const length = ((octets[offset + 16] ?? 0) << 8) | (octets[offset + 17] ?? 0);
  const type = octets[offset + 18] ?? 0;
  const least = LEAST[type];
  if (least === undefined) {
    // The length is checked first where the type says nothing about it.
    if (length < HEADER_LENGTH || length > maxLength(type, limits))
      throw badLength(length, `message length ${length}`);
    throw headerError(HeaderSubcode.badType, Uint8Array.of(type), `message type ${type}`);
  }
  const exact = type === MessageType.keepalive;
  if (length < least || length > maxLength(type, limits) || (exact && length !== least)) {
    throw badLength(length, `message length ${length} for type ${type}`);
  }
  return { length, type };
}

/** Puts a header before the body. */
export function frame(type: number, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  for (let i = 0; i < 4; i++) writer.u32(0xffffffff);
  return writer
    .u16(HEADER_LENGTH + body.length)
    .u8(type)
    .raw(body)
    .finish();
}

function maxLength(type: number, limits: FramingLimits): number {
  const extended = limits.extendedMessage && type !== MessageType.open && type !== MessageType.keepalive;
  return extended ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH;
}
