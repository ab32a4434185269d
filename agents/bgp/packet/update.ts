// UPDATE message (RFC 4271 §4.3, RFC 4760): codec, and packing of prefixes with one attribute set into messages.

import type { IpAddress } from '../../../lib/net/ip.ts';
import { decodeAttributes } from './attributes/decode.ts';
import { encodeAttributes } from './attributes/encode.ts';
import type { PathAttributes } from './attributes/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { CodecContext } from './context.ts';
import { type UpdateFault, updateError } from './errors.ts';
import { frame, HEADER_LENGTH } from './header.ts';
import { type AddressFamily, FAMILIES, MessageType, UpdateSubcode } from './iana.ts';
import { type Nlri, prefixSize, readPrefixes, writePrefix } from './nlri.ts';

export interface UpdateMessage {
  readonly type: 'update';
  /** IPv4 unicast prefixes of the withdrawn routes field. */
  readonly withdrawn: readonly Nlri[];
  readonly attributes: PathAttributes;
  /** IPv4 unicast prefixes of the NLRI field. */
  readonly nlri: readonly Nlri[];
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
  const hasPathIds = context.addPathReceive.has('ipv4Unicast');
  const withdrawn = readPrefixes(withdrawnField, 'ipv4Unicast', hasPathIds, invalid);
  const nlri = readPrefixes(reader, 'ipv4Unicast', hasPathIds, invalid);
  return { type: 'update', withdrawn, nlri, ...decodeAttributes(list, context) };
}

export function encodeUpdate(message: UpdateMessage, context: CodecContext): Uint8Array {
  const hasPathIds = context.addPathSend.has('ipv4Unicast');
  const writer = new ByteWriter().u16(0);
  for (const prefix of message.withdrawn) writePrefix(prefix, writer, hasPathIds);
  writer.patchU16(0, writer.length - 2);
  const attributes = encodeAttributes(message.attributes, context);
  writer.u16(attributes.length).raw(attributes);
  for (const prefix of message.nlri) writePrefix(prefix, writer, hasPathIds);
  return writer.finish();
}

/** A route's attributes as they are sent: next hops beside the others, without NLRI. */
export type AnnouncedAttributes = Omit<PathAttributes, 'mpReachNlri' | 'mpUnreachNlri'> & {
  readonly linkLocalNextHop?: IpAddress;
};

/**
 * Whole messages that announce the prefixes, in order, each within the peer's greatest length. Undefined if the
 * attributes alone leave no room for a prefix (RFC 8654 §5: then the prefixes must be withdrawn from that peer).
 * `attributes.nextHop` is the next hop whatever the family; one of IPv6, and any of an IPv6 prefix, moves into MP_REACH_NLRI,
 * with `linkLocalNextHop` behind it.
 */
export function packAnnouncements(
  family: AddressFamily,
  attributes: AnnouncedAttributes,
  prefixes: readonly Nlri[],
  context: CodecContext,
): Uint8Array[] | undefined {
  const build = (chunk: readonly Nlri[]): UpdateMessage => announcement(family, attributes, chunk);
  const overhead = HEADER_LENGTH + encodeUpdate(build([]), context).length + 2;
  const room = context.maxMessageLength - overhead;
  const hasPathIds = context.addPathSend.has(family);
  if (prefixes.some((prefix) => prefixSize(prefix, hasPathIds) > room)) return undefined;
  return chunks(prefixes, room, hasPathIds).map((chunk) =>
    frame(MessageType.update, encodeUpdate(build(chunk), context)),
  );
}

/** Whole messages that withdraw the prefixes. */
export function packWithdrawals(
  family: AddressFamily,
  prefixes: readonly Nlri[],
  context: CodecContext,
): Uint8Array[] {
  const overhead = HEADER_LENGTH + 16;
  const hasPathIds = context.addPathSend.has(family);
  return chunks(prefixes, context.maxMessageLength - overhead, hasPathIds).map((chunk) =>
    frame(MessageType.update, encodeUpdate(withdrawal(family, chunk), context)),
  );
}

/** RFC 4724 §2: an empty UPDATE, or an MP_UNREACH_NLRI with family only. */
export function encodeEndOfRib(family: AddressFamily, context: CodecContext): Uint8Array {
  return frame(MessageType.update, encodeUpdate(withdrawal(family, []), context));
}

function announcement(
  family: AddressFamily,
  attributes: AnnouncedAttributes,
  prefixes: readonly Nlri[],
): UpdateMessage {
  const { nextHop, linkLocalNextHop, ...rest } = attributes;
  if (family === 'ipv4Unicast' && nextHop?.family !== 6) {
    return updateOf({ ...rest, ...(nextHop === undefined ? {} : { nextHop }) }, [], prefixes);
  }
  const hop = nextHop ?? { family: FAMILIES[family].ip, value: 0n };
  const linkLocal = linkLocalNextHop === undefined ? {} : { linkLocalNextHop };
  return updateOf({ ...rest, mpReachNlri: { family, nextHop: hop, ...linkLocal, prefixes } }, [], []);
}

function withdrawal(family: AddressFamily, prefixes: readonly Nlri[]): UpdateMessage {
  if (family === 'ipv4Unicast') return updateOf({}, prefixes, []);
  return updateOf({ mpUnreachNlri: { family, prefixes } }, [], []);
}

function updateOf(
  attributes: PathAttributes,
  withdrawn: readonly Nlri[],
  nlri: readonly Nlri[],
): UpdateMessage {
  return { type: 'update', withdrawn, attributes, nlri, faults: [] };
}

function chunks(prefixes: readonly Nlri[], room: number, hasPathIds: boolean): Nlri[][] {
  const result: Nlri[][] = [];
  let chunk: Nlri[] = [];
  let used = 0;
  for (const prefix of prefixes) {
    const size = prefixSize(prefix, hasPathIds);
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
