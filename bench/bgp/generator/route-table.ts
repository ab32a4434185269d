// The routes of a row, encoded before anything is measured, and what is expected of them at the other end. Prefixes are
// numbered through all senders, so that a prefix on the wire is an index by arithmetic, and so is its set of attributes.

import { prefixCount, type Row } from '../rows.ts';
import { ASN, peerIpv6Octets, peerOctets } from '../topology.ts';

export const AttributeType = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  multiExitDisc: 4,
  localPref: 5,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReachNlri: 14,
  mpUnreachNlri: 15,
} as const;

/** RFC 4271 §4.1: 19 octets of header, at most 4,096 in all. */
export const HEADER_OCTETS = 19;
const MAX_MESSAGE_OCTETS = 4096;
const UPDATE = 2;
const OPTIONAL = 0x80;
const TRANSITIVE = 0x40;
const IPV6_UNICAST = [0, 2, 1] as const;
/** 20.0.0.0 */
const FIRST_IPV4 = 0x14000000;
/** 2001:db8::/32; the index stands in the next 32 bits. */
const FIRST_IPV6 = [0x20, 0x01, 0x0d, 0xb8] as const;

export interface Attribute {
  readonly flags: number;
  readonly type: number;
  readonly value: Uint8Array;
}

export class RouteTable {
  readonly row: Row;
  readonly #setsPerSender: number;

  constructor(row: Row) {
    this.row = row;
    this.#setsPerSender = Math.ceil(row.prefixesPerSender / row.prefixesPerSet);
  }

  get size(): number {
    return prefixCount(this.row);
  }

  /** Senders are peers 1, 2 and so on. */
  senderOf(prefix: number): number {
    return 1 + Math.floor(prefix / this.row.prefixesPerSender);
  }

  senderOfSet(set: number): number {
    return 1 + Math.floor(set / this.#setsPerSender);
  }

  setOf(prefix: number): number {
    const { prefixesPerSender, prefixesPerSet } = this.row;
    const sender = Math.floor(prefix / prefixesPerSender);
    return sender * this.#setsPerSender + Math.floor((prefix % prefixesPerSender) / prefixesPerSet);
  }

  /** Index of the prefix at `offset`, or -1 if it is none of ours. */
  indexAt(octets: Uint8Array, offset: number): number {
    const { family, prefixLength } = this.row;
    if (octets[offset] !== prefixLength) return -1;
    const at = offset + 1;
    if (family === 4) {
      const address = readUint32(octets, at, Math.ceil(prefixLength / 8));
      const index = (address - FIRST_IPV4) / 2 ** (32 - prefixLength);
      return Number.isInteger(index) && index >= 0 && index < this.size ? index : -1;
    }
    if (FIRST_IPV6.some((octet, position) => octets[at + position] !== octet)) return -1;
    const index = readUint32(octets, at + 4, 4);
    return index < this.size ? index : -1;
  }

  /** As the sender sends them, without what the family's prefixes stand in; NEXT_HOP only for IPv4. */
  attributes(set: number): readonly Attribute[] {
    const sender = this.senderOfSet(set);
    const { family, prefixesPerSender } = this.row;
    // Blocks of nodes have no path: they are the node's own.
    const path = prefixesPerSender < 1000 ? [] : [4_200_000_000 + (set % 1000), 65_100 + (set % 50), 65_200];
    const asPath = path.length === 0 ? [] : [2, path.length, ...path.flatMap(uint32)];
    return [
      attribute(TRANSITIVE, AttributeType.origin, [0]),
      attribute(TRANSITIVE, AttributeType.asPath, asPath),
      ...(family === 4 ? [attribute(TRANSITIVE, AttributeType.nextHop, peerOctets(sender))] : []),
      // frr adds one of its own to what has none.
      attribute(OPTIONAL, AttributeType.multiExitDisc, uint32(set % 10)),
      attribute(TRANSITIVE, AttributeType.localPref, uint32(100)),
      attribute(OPTIONAL | TRANSITIVE, AttributeType.communities, [
        ...uint32(0x40000000 + set),
        ...uint32(ASN * 0x10000 + (sender & 0xffff)),
      ]),
    ];
  }

  /** Next hop of a set in MP_REACH_NLRI. */
  ipv6NextHop(set: number): readonly number[] {
    return peerIpv6Octets(this.senderOfSet(set));
  }

  /** All UPDATEs of a sender, one for each set. */
  announcements(sender: number): Buffer {
    const { prefixesPerSender, prefixesPerSet } = this.row;
    const first = (sender - 1) * prefixesPerSender;
    const messages: Buffer[] = [];
    for (let local = 0; local < prefixesPerSender; local += prefixesPerSet) {
      const count = Math.min(prefixesPerSet, prefixesPerSender - local);
      messages.push(this.#announcement(first + local, count));
    }
    return Buffer.concat(messages);
  }

  /** UPDATEs that withdraw all of a sender, as full as they may be. */
  withdrawals(sender: number): Buffer {
    const { prefixesPerSender } = this.row;
    const perMessage = Math.floor((MAX_MESSAGE_OCTETS - 64) / this.#prefix(0).length);
    const first = (sender - 1) * prefixesPerSender;
    const messages: Buffer[] = [];
    for (let local = 0; local < prefixesPerSender; local += perMessage) {
      const count = Math.min(perMessage, prefixesPerSender - local);
      messages.push(this.#withdrawal(this.#prefixes(first + local, count)));
    }
    return Buffer.concat(messages);
  }

  #announcement(first: number, count: number): Buffer {
    const set = this.setOf(first);
    const prefixes = this.#prefixes(first, count);
    const attributes = this.attributes(set).map(encodeAttribute);
    if (this.row.family === 4) return update([], attributes, prefixes);
    const reach = [...IPV6_UNICAST, 16, ...this.ipv6NextHop(set), 0];
    const value = Buffer.concat([Uint8Array.from(reach), prefixes]);
    const mpReachNlri = { flags: OPTIONAL, type: AttributeType.mpReachNlri, value };
    return update([], [encodeAttribute(mpReachNlri), ...attributes], []);
  }

  #withdrawal(prefixes: Buffer): Buffer {
    if (this.row.family === 4) return update(prefixes, [], []);
    const value = Buffer.concat([Uint8Array.from(IPV6_UNICAST), prefixes]);
    return update([], [encodeAttribute({ flags: OPTIONAL, type: AttributeType.mpUnreachNlri, value })], []);
  }

  #prefixes(first: number, count: number): Buffer {
    return Buffer.concat(Array.from({ length: count }, (_, index) => this.#prefix(first + index)));
  }

  #prefix(index: number): Uint8Array {
    const { family, prefixLength } = this.row;
    const address =
      family === 4
        ? uint32(FIRST_IPV4 + index * 2 ** (32 - prefixLength))
        : [...FIRST_IPV6, ...uint32(index)];
    return Uint8Array.from([prefixLength, ...address.slice(0, Math.ceil(prefixLength / 8))]);
  }
}

/** A message with its header. */
export function message(type: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)));
  const header = Buffer.alloc(HEADER_OCTETS, 0xff);
  header.writeUInt16BE(HEADER_OCTETS + body.length, 16);
  header.writeUInt8(type, 18);
  return Buffer.concat([header, body]);
}

export function uint16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

export function uint32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function update(
  withdrawn: Uint8Array | readonly number[],
  attributes: readonly Uint8Array[],
  nlri: Uint8Array | readonly number[],
): Buffer {
  const path = Buffer.concat(attributes);
  return message(UPDATE, uint16(withdrawn.length), withdrawn, uint16(path.length), path, nlri);
}

function attribute(flags: number, type: number, value: readonly number[]): Attribute {
  return { flags, type, value: Uint8Array.from(value) };
}

function encodeAttribute({ flags, type, value }: Attribute): Uint8Array {
  const isLong = value.length > 255;
  const length = isLong ? uint16(value.length) : [value.length];
  return Buffer.concat([Uint8Array.from([isLong ? flags | 0x10 : flags, type, ...length]), value]);
}

/** The first `count` octets of a 32-bit number, the rest zero. */
function readUint32(octets: Uint8Array, offset: number, count: number): number {
  let value = 0;
  for (let index = 0; index < 4; index++)
    value = value * 256 + (index < count ? (octets[offset + index] ?? 0) : 0);
  return value;
}
