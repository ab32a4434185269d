// UPDATE message (RFC 4271 §4.3, RFC 4760): codec, and packing of prefixes with one attribute set into messages.

import type { Cidr } from '../../../lib/net/ip.ts';
import { decodeAttributes } from './attributes/decode.ts';
import { encodeAttributes } from './attributes/encode.ts';
import type { PathAttributes } from './attributes/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { CodecContext } from './context.ts';
import { type UpdateFault, updateError } from './errors.ts';
import { frame, HEADER_LENGTH } from './header.ts';
import { type AddressFamily, FAMILIES, MessageType, UpdateSubcode } from './iana.ts';
import { prefixSize, readPrefixes, writePrefix } from './nlri.ts';

export interface UpdateMessage {
  readonly type: 'update';
  /** IPv4 unicast prefixes of the withdrawn routes field. */
  readonly withdrawn: readonly Cidr[];
  readonly attributes: PathAttributes;
  /** IPv4 unicast prefixes of the NLRI field. */
  readonly nlri: readonly Cidr[];
  /** What was wrong and did not end the session (RFC 7606); empty in messages that we make. */
  readonly faults: readonly UpdateFault[];
}

export function decodeUpdate(body: Uint8Array, context: CodecContext): UpdateMessage {
  const reader = new ByteReader(body, () =>
    updateError(UpdateSubcode.malformedAttributeList, 'lengths inside do not add up'),
  );
  const withdrawnField = reader.slice(reader.u16());
  const list = reader.bytes(reader.u16());
  const invalid = (reason: string): Error => updateError(UpdateSubcode.invalidNetwork, reason);
  const withdrawn = readPrefixes(withdrawnField, 'ipv4Unicast', invalid);
  const nlri = readPrefixes(reader, 'ipv4Unicast', invalid);
  return { type: 'update', withdrawn, nlri, ...decodeAttributes(list, context) };
}

export function encodeUpdate(message: UpdateMessage, context: CodecContext): Uint8Array {
  const writer = new ByteWriter().u16(0);
  for (const prefix of message.withdrawn) writePrefix(prefix, writer);
  writer.patchU16(0, writer.length - 2);
  const attributes = encodeAttributes(message.attributes, context);
  writer.u16(attributes.length).raw(attributes);
  for (const prefix of message.nlri) writePrefix(prefix, writer);
  return writer.finish();
}

/**
 * Whole messages that announce the prefixes, in order, each within the peer's greatest length. Undefined if the
 * attributes alone leave no room for a prefix (RFC 8654 §5: then the prefixes must be withdrawn from that peer).
 * `attributes.nextHop` is the next hop whatever the family; for IPv6 it moves into MP_REACH_NLRI.
 */
export function packAnnouncements(
  family: AddressFamily,
  attributes: PathAttributes,
  prefixes: readonly Cidr[],
  context: CodecContext,
): Uint8Array[] | undefined {
  const build = (chunk: readonly Cidr[]): UpdateMessage => announcement(family, attributes, chunk);
  const overhead = HEADER_LENGTH + encodeUpdate(build([]), context).length + 2;
  const room = context.maxMessageLength - overhead;
  if (prefixes.some((prefix) => prefixSize(prefix) > room)) return undefined;
  return chunks(prefixes, room).map((chunk) =>
    frame(MessageType.update, encodeUpdate(build(chunk), context)),
  );
}

/** Whole messages that withdraw the prefixes. */
export function packWithdrawals(
  family: AddressFamily,
  prefixes: readonly Cidr[],
  context: CodecContext,
): Uint8Array[] {
  const overhead = HEADER_LENGTH + 16;
  return chunks(prefixes, context.maxMessageLength - overhead).map((chunk) =>
    frame(MessageType.update, encodeUpdate(withdrawal(family, chunk), context)),
  );
}

/** RFC 4724 §2: an empty UPDATE, or an MP_UNREACH_NLRI with family only. */
export function encodeEndOfRib(family: AddressFamily, context: CodecContext): Uint8Array {
  return frame(MessageType.update, encodeUpdate(withdrawal(family, []), context));
}

function announcement(
  family: AddressFamily,
  attributes: PathAttributes,
  prefixes: readonly Cidr[],
): UpdateMessage {
  const { nextHop, mpReachNlri: _reach, mpUnreachNlri: _unreach, ...rest } = attributes;
  if (family === 'ipv4Unicast' && nextHop?.family !== 6) {
    return updateOf({ ...rest, ...(nextHop === undefined ? {} : { nextHop }) }, [], prefixes);
  }
  const hop = nextHop ?? { family: FAMILIES[family].ip, value: 0n };
  return updateOf({ ...rest, mpReachNlri: { family, nextHop: hop, prefixes } }, [], []);
}

function withdrawal(family: AddressFamily, prefixes: readonly Cidr[]): UpdateMessage {
  if (family === 'ipv4Unicast') return updateOf({}, prefixes, []);
  return updateOf({ mpUnreachNlri: { family, prefixes } }, [], []);
}

function updateOf(
  attributes: PathAttributes,
  withdrawn: readonly Cidr[],
  nlri: readonly Cidr[],
): UpdateMessage {
  return { type: 'update', withdrawn, attributes, nlri, faults: [] };
}

function chunks(prefixes: readonly Cidr[], room: number): Cidr[][] {
  const result: Cidr[][] = [];
  let chunk: Cidr[] = [];
  let used = 0;
  for (const prefix of prefixes) {
    const size = prefixSize(prefix);
    if (used + size > room && chunk.length > 0) {
      result.push(chunk);
      chunk = [];
      used = 0;
    }
    chunk.push(prefix);
    used += size;
  }
  if (chunk.length > 0) result.push(chunk);
  return result;
}
