// MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4; next hops of RFC 2545 §3 and RFC 8950 §3). Lengths that hide the
// NLRI end the session, as nothing could be withdrawn safely (RFC 7606 §5.3).

import type { IpAddress } from '../../../../lib/net/ip.ts';
import type { ByteReader, ByteWriter } from '../bytes.ts';
import type { CodecContext } from '../context.ts';
import { AttributeError } from '../errors.ts';
import { type AddressFamily, FAMILIES, familyOf, UpdateSubcode } from '../iana.ts';
import { type Nlri, readAddress, readPrefixes, writeAddress, writePrefix } from '../nlri.ts';
import type { MpReachNlri, MpUnreachNlri } from './types.ts';

/** Undefined: a family that was not negotiated; the attribute is ignored and the session stays. */
export function readMpReach(reader: ByteReader, context: CodecContext): MpReachNlri | undefined {
  const family = familyOf(reader.u16(), reader.u8());
  if (family === undefined || !context.families.has(family)) return undefined;
  const hop = readNextHops(reader.slice(reader.u8()), family, context.extendedNextHop);
  reader.u8(); // reserved
  return { family, ...hop, prefixes: readNlri(reader, family, context) };
}

export function writeMpReach(value: MpReachNlri, writer: ByteWriter, context: CodecContext): void {
  const { afi, safi } = FAMILIES[value.family];
  const size = value.nextHop.family === 4 ? 4 : 16;
  writer
    .u16(afi)
    .u8(safi)
    .u8(value.linkLocalNextHop === undefined ? size : 2 * size);
  writeAddress(value.nextHop, writer);
  if (value.linkLocalNextHop !== undefined) writeAddress(value.linkLocalNextHop, writer);
  writer.u8(0);
  writeNlri(value, writer, context);
}

export function readMpUnreach(reader: ByteReader, context: CodecContext): MpUnreachNlri | undefined {
  const family = familyOf(reader.u16(), reader.u8());
  if (family === undefined || !context.families.has(family)) return undefined;
  return { family, prefixes: readNlri(reader, family, context) };
}

export function writeMpUnreach(value: MpUnreachNlri, writer: ByteWriter, context: CodecContext): void {
  const { afi, safi } = FAMILIES[value.family];
  writer.u16(afi).u8(safi);
  writeNlri(value, writer, context);
}

/** A read past the end of either attribute, or a prefix that cannot be. */
export function unreadable(reason = 'cut short'): AttributeError {
  return new AttributeError(UpdateSubcode.optionalAttribute, `multiprotocol NLRI: ${reason}`);
}

function readNlri(reader: ByteReader, family: AddressFamily, context: CodecContext): Nlri[] {
  return readPrefixes(reader, family, context.addPathReceive.has(family), unreadable);
}

function writeNlri({ family, prefixes }: MpUnreachNlri, writer: ByteWriter, context: CodecContext): void {
  const hasPathIds = context.addPathSend.has(family);
  for (const prefix of prefixes) writePrefix(prefix, writer, hasPathIds);
}

function readNextHops(
  reader: ByteReader,
  family: AddressFamily,
  extendedNextHop: boolean,
): { readonly nextHop: IpAddress; readonly linkLocalNextHop?: IpAddress } {
  const length = reader.remaining;
  if (family === 'ipv4Unicast' && length === 4) return { nextHop: readAddress(reader, 4) };
  const takesIpv6 = family === 'ipv6Unicast' || extendedNextHop;
  if (takesIpv6 && length === 16) return { nextHop: readAddress(reader, 6) };
  if (takesIpv6 && length === 32) {
    return { nextHop: readAddress(reader, 6), linkLocalNextHop: readAddress(reader, 6) };
  }
  throw unreadable(`next hop of ${length} octets`);
}
