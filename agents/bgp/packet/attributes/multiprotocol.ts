// MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4; next hops of RFC 2545 §3). Lengths that hide the NLRI end the
// session, as nothing could be withdrawn safely (RFC 7606 §5.3).

import type { IpAddress } from '../../../../lib/net/ip.ts';
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { updateError } from '../errors.ts';
import { type AddressFamily, FAMILIES, familyOf, UpdateSubcode } from '../iana.ts';
import { readAddress, readPrefixes, writeAddress, writePrefix } from '../nlri.ts';
import type { MpReachNlri, MpUnreachNlri } from './types.ts';

/** Undefined: a family that was not negotiated; the attribute is ignored and the session stays. */
export function readMpReach(
  reader: ByteReader,
  families: ReadonlySet<AddressFamily>,
): MpReachNlri | undefined {
  const family = familyOf(reader.u16(), reader.u8());
  const nextHops = reader.slice(reader.u8());
  if (family === undefined || !families.has(family)) return undefined;
  const hop = readNextHops(nextHops, family);
  reader.u8(); // reserved
  return { family, ...hop, prefixes: readPrefixes(reader, family, unreadable) };
}

export function writeMpReach(value: MpReachNlri, writer: ByteWriter): void {
  const { afi, safi } = FAMILIES[value.family];
  const size = value.nextHop.family === 4 ? 4 : 16;
  writer
    .u16(afi)
    .u8(safi)
    .u8(value.linkLocalNextHop === undefined ? size : 2 * size);
  writeAddress(value.nextHop, writer);
  if (value.linkLocalNextHop !== undefined) writeAddress(value.linkLocalNextHop, writer);
  writer.u8(0);
  for (const prefix of value.prefixes) writePrefix(prefix, writer);
}

export function readMpUnreach(
  reader: ByteReader,
  families: ReadonlySet<AddressFamily>,
): MpUnreachNlri | undefined {
  const family = familyOf(reader.u16(), reader.u8());
  if (family === undefined || !families.has(family)) return undefined;
  return { family, prefixes: readPrefixes(reader, family, unreadable) };
}

export function writeMpUnreach(value: MpUnreachNlri, writer: ByteWriter): void {
  const { afi, safi } = FAMILIES[value.family];
  writer.u16(afi).u8(safi);
  for (const prefix of value.prefixes) writePrefix(prefix, writer);
}

/** A read past the end of either attribute, or a prefix that cannot be. */
export function unreadable(reason = 'cut short'): Error {
  return updateError(UpdateSubcode.optionalAttribute, `multiprotocol NLRI: ${reason}`);
}

function readNextHops(
  reader: ByteReader,
  family: AddressFamily,
): { readonly nextHop: IpAddress; readonly linkLocalNextHop?: IpAddress } {
  const length = reader.remaining;
  if (family === 'ipv4Unicast' && length === 4) return { nextHop: readAddress(reader, 4) };
  if (family === 'ipv6Unicast' && length === 16) return { nextHop: readAddress(reader, 6) };
  if (family === 'ipv6Unicast' && length === 32) {
    return { nextHop: readAddress(reader, 6), linkLocalNextHop: readAddress(reader, 6) };
  }
  throw unreadable(`next hop of ${length} octets`);
}
