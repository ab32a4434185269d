// NLRI: a length in bits and as many octets as it takes (RFC 4271 §4.3), after a path id where ADD-PATH is in use
// (RFC 7911 §3). Host bits are masked, not refused.

import { type Cidr, familyBits, type IpAddress } from '../../../lib/net/ip.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { type AddressFamily, FAMILIES } from './iana.ts';

/** A prefix on the wire; `pathId` (unsigned 32 bits) only where the family's NLRI carry one. */
export interface Nlri extends Cidr {
  readonly pathId?: number;
}

export function readAddress(reader: ByteReader, family: 4 | 6): IpAddress {
  return { family, value: reader.big(familyBits(family) / 8) };
}

export function writeAddress(address: IpAddress, writer: ByteWriter): void {
  writer.big(address.value, familyBits(address.family) / 8);
}

/** All prefixes up to the reader's end. `invalid` makes the error for a length that the family cannot have. */
export function readPrefixes(
  reader: ByteReader,
  family: AddressFamily,
  hasPathIds: boolean,
  invalid: (reason: string) => Error,
): Nlri[] {
  const ip = FAMILIES[family].ip;
  const bits = familyBits(ip);
  const prefixes: Nlri[] = [];
  while (reader.remaining > 0) {
    if (hasPathIds && reader.remaining < 5) throw invalid('path id cut short');
    const pathId = hasPathIds ? reader.u32() : undefined;
    const length = reader.u8();
    if (length > bits) throw invalid(`prefix length ${length}`);
    const count = octetsOf(length);
    if (count > reader.remaining) throw invalid('prefix cut short');
    const base = ip === 4 ? BigInt(leading32(reader, length)) : leading128(reader, length);
    prefixes.push(pathId === undefined ? { family: ip, base, length } : { family: ip, base, length, pathId });
  }
  return prefixes;
}

export function writePrefix(prefix: Nlri, writer: ByteWriter, hasPathIds: boolean): void {
  const count = octetsOf(prefix.length);
  if (hasPathIds) writer.u32(prefix.pathId ?? 0);
  writer.u8(prefix.length).big(prefix.base >> BigInt(familyBits(prefix.family) - 8 * count), count);
}

/** Octets that the prefix takes on the wire. */
export function prefixSize(prefix: Nlri, hasPathIds: boolean): number {
  return (hasPathIds ? 5 : 1) + octetsOf(prefix.length);
}

/** The next `length` bits in whole octets, as the leading bits of 32; what stands behind them is masked. */
function leading32(reader: ByteReader, length: number): number {
  if (length <= 0) return 0;
  let value = 0;
  for (let shift = 24; shift > 24 - length; shift -= 8) value |= reader.u8() << shift;
  return (value & (-1 << Math.max(0, 32 - length))) >>> 0;
}

/** The same of 128. */
function leading128(reader: ByteReader, length: number): bigint {
  let value = 0n;
  for (let word = 0; word < 4; word++) {
    const bits = Math.max(0, Math.min(32, length - 32 * word));
    value = (value << 32n) | BigInt(leading32(reader, bits));
  }
  return value;
}

function octetsOf(length: number): number {
  return Math.ceil(length / 8);
}
