// Reader of MRT dumps (RFC 6396, path ids RFC 8050; the deprecated type 5 of RFC 6396 appendix A): the BGP messages and
// table entries in them, with what decoding them depends on.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { ByteReader, ByteWriter } from '../../../agents/bgp/packet/bytes.ts';
import { frame } from '../../../agents/bgp/packet/header.ts';
import { AttributeCode, AttributeFlag, MessageType } from '../../../agents/bgp/packet/iana.ts';
import { type Nlri, readAddress } from '../../../agents/bgp/packet/nlri.ts';
import { type Family, type IpAddress, netmask } from '../../../lib/net/ip.ts';

const Type = { bgp: 5, tableDump: 12, tableDumpV2: 13, bgp4mp: 16 } as const;
const HEADER_LENGTH = 12;
/** No record of the dumps here is longer. */
const MAX_RECORD_LENGTH = 70_000;

export interface MrtRecord {
  /** Seconds since 1970. */
  readonly time: number;
  readonly type: number;
  readonly subtype: number;
  readonly body: Uint8Array;
}

interface Peer {
  readonly asn: number;
  readonly address: IpAddress;
}

/** One BGP message, header included. */
export interface MrtMessage {
  readonly kind: 'message';
  readonly time: number;
  readonly peer: Peer;
  readonly octets: Uint8Array;
  readonly fourOctetAs: boolean;
  readonly hasPathIds: boolean;
}

/** One path of a table: a prefix and the octets of its path attributes. */
export interface MrtEntry {
  readonly kind: 'entry';
  /** When the dump was written. */
  readonly time: number;
  readonly peer: Peer;
  readonly prefix: Nlri;
  readonly attributes: Uint8Array;
  readonly fourOctetAs: boolean;
}

export interface MrtStateChange {
  readonly kind: 'stateChange';
  readonly time: number;
  readonly peer: Peer;
  readonly from: number;
  readonly to: number;
}

export type MrtItem = MrtMessage | MrtEntry | MrtStateChange;

/** The octets of a dump; unpacked if the name ends in `.gz`. */
export function readDump(path: string): Uint8Array {
  const octets = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(octets) : octets;
}

/** The records in order. Where a header cannot be one, looks for the next that can, and counts the gap. */
export function mrtRecords(octets: Uint8Array): { readonly records: MrtRecord[]; readonly gaps: number } {
  const records: MrtRecord[] = [];
  let gaps = 0;
  let isLost = false;
  let at = 0;
  while (at + HEADER_LENGTH <= octets.length) {
    const record = recordAt(octets, at, records.at(-1)?.time);
    if (record === undefined) {
      if (!isLost) gaps++;
      isLost = true;
      at++;
    } else {
      records.push(record);
      isLost = false;
      at += HEADER_LENGTH + record.body.length;
    }
  }
  return { records, gaps };
}

/** What the records hold, in order; unknown subtypes hold nothing. */
export function* mrtItems(records: readonly MrtRecord[]): IterableIterator<MrtItem> {
  let peers: readonly Peer[] = [];
  for (const record of records) {
    if (record.type === Type.bgp) yield* oldMessage(record);
    else if (record.type === Type.tableDump) yield tableDumpEntry(record);
    else if (record.type === Type.bgp4mp) yield* bgp4mp(record);
    else if (record.subtype === V2.peerIndex) peers = peerIndex(readerOf(record));
    else yield* tableDumpV2(record, peers);
  }
}

function recordAt(octets: Uint8Array, at: number, lastTime: number | undefined): MrtRecord | undefined {
  const reader = new ByteReader(octets, cutShort, at);
  const [time, type, subtype, length] = [reader.u32(), reader.u16(), reader.u16(), reader.u32()];
  const isType = Object.values<number>(Type).includes(type) && subtype < 16;
  const isNear = lastTime === undefined || Math.abs(time - lastTime) < 86_400;
  if (!isType || !isNear || length > MAX_RECORD_LENGTH || length > reader.remaining) return undefined;
  return { time, type, subtype, body: reader.bytes(length) };
}

/** RFC 6396 §4.2 */
function tableDumpEntry(record: MrtRecord): MrtEntry {
  const family = record.subtype === 1 ? 4 : 6;
  const reader = readerOf(record);
  reader.u32(); // view, sequence
  const base = readAddress(reader, family).value;
  const length = reader.u8();
  reader.u8(); // status
  reader.u32(); // since when
  const address = readAddress(reader, family);
  const peer = { asn: reader.u16(), address };
  const attributes = reader.bytes(reader.u16());
  return {
    kind: 'entry',
    time: record.time,
    peer,
    prefix: { family, base: base & netmask(family, length), length },
    attributes,
    fourOctetAs: false,
  };
}

const V2 = { peerIndex: 1, ipv4: 2, ipv6: 4, generic: 6, ipv4AddPath: 8, ipv6AddPath: 10 } as const;

/** RFC 6396 §4.3.1 */
function peerIndex(reader: ByteReader): Peer[] {
  reader.u32(); // collector
  reader.bytes(reader.u16()); // view name
  return Array.from({ length: reader.u16() }, () => {
    const bits = reader.u8();
    reader.u32(); // identifier
    const address = readAddress(reader, (bits & 1) === 0 ? 4 : 6);
    return { asn: (bits & 2) === 0 ? reader.u16() : reader.u32(), address };
  });
}

/** RFC 6396 §4.3.2, RFC 8050 §4 */
function* tableDumpV2(record: MrtRecord, peers: readonly Peer[]): IterableIterator<MrtEntry> {
  const { subtype } = record;
  const hasPathIds = subtype === V2.ipv4AddPath || subtype === V2.ipv6AddPath;
  const family: Family = subtype === V2.ipv4 || subtype === V2.ipv4AddPath ? 4 : 6;
  if (subtype === V2.generic) return;
  const reader = readerOf(record);
  reader.u32(); // sequence
  const length = reader.u8();
  const octets = Math.ceil(length / 8);
  const bits = family === 4 ? 32 : 128;
  const base = (reader.big(octets) << BigInt(bits - 8 * octets)) & netmask(family, length);
  for (let count = reader.u16(); count > 0; count--) {
    const peer = peers[reader.u16()];
    if (peer === undefined) throw new Error('MRT: no such peer');
    reader.u32(); // since when
    const pathId = hasPathIds ? reader.u32() : undefined;
    const attributes = withWholeMpReach(reader.bytes(reader.u16()));
    const prefix = pathId === undefined ? { family, base, length } : { family, base, length, pathId };
    yield { kind: 'entry', time: record.time, peer, prefix, attributes, fourOctetAs: true } as const;
  }
}

/** RFC 6396 §4.3.4: tables have MP_REACH_NLRI with nothing but the next hop; some writers put the whole one there. */
function withWholeMpReach(list: Uint8Array): Uint8Array {
  const reader = new ByteReader(list, cutShort);
  const writer = new ByteWriter();
  while (reader.remaining > 0) {
    const [flags, code] = [reader.u8(), reader.u8()];
    const value = reader.bytes((flags & AttributeFlag.extendedLength) === 0 ? reader.u8() : reader.u16());
    const isShort = code === AttributeCode.mpReachNlri && value[0] !== 0;
    const whole = isShort ? Uint8Array.of(0, value[0] === 4 ? 1 : 2, 1, ...value, 0) : value;
    writer
      .u8(flags | AttributeFlag.extendedLength)
      .u8(code)
      .u16(whole.length)
      .raw(whole);
  }
  return writer.finish();
}

/** RFC 6396 §4.4, RFC 8050 §3 */
function* bgp4mp(record: MrtRecord): IterableIterator<MrtMessage | MrtStateChange> {
  const { time, subtype } = record;
  const fourOctetAs = [4, 5, 7, 9, 11].includes(subtype);
  const reader = readerOf(record);
  const asn = fourOctetAs ? reader.u32() : reader.u16();
  if (fourOctetAs) reader.u32();
  else reader.u16();
  reader.u16(); // interface
  const afi = reader.u16();
  // OpenBGPD leaves the addresses out while there is no connection.
  const hasAddresses = afi === 1 || afi === 2;
  const family: Family = afi === 2 ? 6 : 4;
  const address: IpAddress = hasAddresses ? readAddress(reader, family) : { family, value: 0n };
  if (hasAddresses) readAddress(reader, family);
  const peer = { asn, address } as const;
  if (subtype === 0 || subtype === 5) {
    yield { kind: 'stateChange', time, peer, from: reader.u16(), to: reader.u16() };
  } else {
    yield { kind: 'message', time, peer, octets: reader.rest(), fourOctetAs, hasPathIds: subtype >= 8 };
  }
}

/** RFC 6396 appendix A: bodies without header. */
function* oldMessage(record: MrtRecord): IterableIterator<MrtMessage | MrtStateChange> {
  const types: Readonly<Record<number, number>> = {
    1: MessageType.update,
    5: MessageType.open,
    6: MessageType.notification,
    7: MessageType.keepalive,
  };
  const { time, subtype } = record;
  const reader = readerOf(record);
  const asn = reader.u16();
  const peer = { asn, address: readAddress(reader, 4) };
  if (subtype === 3) {
    yield { kind: 'stateChange', time, peer, from: reader.u16(), to: reader.u16() };
    return;
  }
  const type = types[subtype];
  if (type === undefined) return;
  reader.bytes(6); // our AS and address
  const octets = frame(type, reader.rest());
  yield { kind: 'message', time, peer, octets, fourOctetAs: false, hasPathIds: false };
}

function readerOf(record: MrtRecord): ByteReader {
  return new ByteReader(record.body, cutShort);
}

function cutShort(): Error {
  return new Error('MRT: record cut short');
}
