// NLRI: a length in bits and as many octets as it takes (RFC 4271 §4.3). Host bits are masked, not refused.

import { type Cidr, familyBits, type IpAddress, netmask } from '../../../lib/net/ip.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { type AddressFamily, FAMILIES } from './iana.ts';

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
  invalid: (reason: string) => Error,
): Cidr[] {
  const ip = FAMILIES[family].ip;
  const bits = familyBits(ip);
  const prefixes: Cidr[] = [];
  while (reader.remaining > 0) {
    const length = reader.u8();
    if (length > bits) throw invalid(`prefix length ${length}`);
    const count = octetsOf(length);
    if (count > reader.remaining) throw invalid('prefix cut short');
    const value = reader.big(count) << BigInt(bits - 8 * count);
    prefixes.push({ family: ip, base: value & netmask(ip, length), length });
  }
  return prefixes;
}

export function writePrefix(prefix: Cidr, writer: ByteWriter): void {
  const count = octetsOf(prefix.length);
  writer.u8(prefix.length).big(prefix.base >> BigInt(familyBits(prefix.family) - 8 * count), count);
}

/** Octets that the prefix takes on the wire. */
export function prefixSize(prefix: Cidr): number {
  return 1 + octetsOf(prefix.length);
}

function octetsOf(length: number): number {
  return Math.ceil(length / 8);
}
