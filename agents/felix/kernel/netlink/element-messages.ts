// Elements of nftables sets and maps as netlink messages of our own (linux/netfilter/nf_tables.h, nf_tables_api.c): what
// libnftables would send for `add element` and `delete element`, without its reading every interval set of the table first.
// An interval of one field is two elements, its start and what follows its end; of several fields, one with two keys.

import { cidrFirst, cidrLast, ipBytes, parseCidr, parseIp } from '../../../../lib/net/ip.ts';
import type { ElementChange, ElementField, ElementQuery } from '../../../../lib/protocol/kernel-writer.ts';
import { type Attribute, encodeAttributes, NetlinkFlag, type NetlinkMessage, uint32 } from './message.ts';
import {
  DATA,
  ELEMENT,
  ELEMENT_LIST,
  INET_HEADER,
  NFNL_SUBSYS_NFTABLES,
  NftMessage,
  VERDICT,
} from './nftables-protocol.ts';

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFTA_LIST_ELEM = 1;
const VERDICT_CODES: Readonly<Record<string, number>> = { goto: -4, jump: -3 };
const INTERVAL_END = 1;
const UDATA_COMMENT = 0;
/** libnftnl marks an interval that ends with the family's last address, so that a listing shows its end. */
const UDATA_FLAGS = 1;
const INTERVAL_OPEN = 1;
/** An attribute's length has 16 bits: so many elements of the largest size fit into one list. */
const ELEMENTS_PER_MESSAGE = 200;
const FIELD_BYTES: Readonly<Record<ElementField, number>> = {
  mark: 4,
  classid: 4,
  ifname: 16,
  ipv4_addr: 4,
  ipv6_addr: 16,
  inet_proto: 1,
  inet_service: 2,
};

interface Range {
  readonly first: Buffer;
  readonly last: Buffer;
}

/**
 * One transaction, all or nothing; the last message of the changes asks for an acknowledgement, which comes after the commit. Throws
 * an Error for a key or value that no set can hold.
 */
export function elementBatch(table: string, changes: readonly ElementChange[]): readonly NetlinkMessage[] {
  const messages = changes.flatMap((change) => changeMessages(table, change));
  const last = messages.at(-1);
  if (last === undefined) return [];
  return [
    batchMarker(NFNL_MSG_BATCH_BEGIN),
    ...messages.slice(0, -1),
    { ...last, flags: last.flags | NetlinkFlag.ack },
    batchMarker(NFNL_MSG_BATCH_END),
  ];
}

/** Answered by the element, or refused where there is none. */
export function getElement(table: string, query: ElementQuery): NetlinkMessage {
  const [element = []] = elementAttributes({ ...query, isInterval: false, change: 'delete' }, query);
  return {
    type: NftMessage.getElements,
    flags: NetlinkFlag.request,
    body: elementList(table, query.set, [element]),
  };
}

function elementList(table: string, set: string, elements: readonly (readonly Attribute[])[]): Buffer {
  return Buffer.concat([
    INET_HEADER,
    encodeAttributes([
      { type: ELEMENT_LIST.table, value: text(table) },
      { type: ELEMENT_LIST.set, value: text(set) },
      { type: ELEMENT_LIST.elements, value: elements.map((value) => ({ type: NFTA_LIST_ELEM, value })) },
    ]),
  ]);
}

function batchMarker(type: number): NetlinkMessage {
  return { type, flags: NetlinkFlag.request, body: Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]) };
}

function changeMessages(table: string, change: ElementChange): readonly NetlinkMessage[] {
  const isAdded = change.change === 'add';
  const attributes = change.elements.flatMap((element) => elementAttributes(change, element));
  const messages: NetlinkMessage[] = [];
  for (let start = 0; start < attributes.length; start += ELEMENTS_PER_MESSAGE) {
    const list = attributes.slice(start, start + ELEMENTS_PER_MESSAGE);
    messages.push({
      type: isAdded ? NftMessage.newElements : NftMessage.deleteElements,
      flags: NetlinkFlag.request | (isAdded ? NetlinkFlag.create : 0),
      body: elementList(table, change.set, list),
    });
  }
  return messages;
}

/** The attributes of one element, or of the two that an interval of one field is. */
function elementAttributes(
  change: Omit<ElementChange, 'elements'>,
  element: ElementChange['elements'][number],
): readonly (readonly Attribute[])[] {
  const ranges = rangesOf(change, element.key);
  const isPlain = ranges.every(({ first, last }) => first.equals(last));
  if (!change.isInterval && !isPlain)
    throw new Error(`${element.key} is a range, and ${change.set} has none`);
  const isConcatenated = ranges.length > 1;
  const keyOf = (end: 'first' | 'last'): Buffer => {
    const fields = ranges.map((range) => range[end]);
    return Buffer.concat(isConcatenated ? fields.map(padded) : fields);
  };
  const [only] = ranges;
  const end = change.isInterval && !isConcatenated && only !== undefined ? following(only.last) : undefined;
  const isOpen = change.isInterval && !isConcatenated && end === undefined;
  const start: readonly Attribute[] = [
    key(ELEMENT.key, keyOf('first')),
    ...(change.isInterval && isConcatenated ? [key(ELEMENT.keyEnd, keyOf('last'))] : []),
    ...(change.change === 'add' ? contentOf(element, isOpen) : []),
  ];
  if (end === undefined) return [start];
  return [start, [key(ELEMENT.key, end), { type: ELEMENT.flags, value: uint32be(INTERVAL_END) }]];
}

function contentOf(element: ElementChange['elements'][number], isOpen: boolean): readonly Attribute[] {
  const { value = '', comment } = element;
  const userData = [
    ...(comment === undefined ? [] : [typeLengthValue(UDATA_COMMENT, text(comment))]),
    ...(isOpen ? [typeLengthValue(UDATA_FLAGS, uint32(INTERVAL_OPEN))] : []),
  ];
  return [
    ...(value === '' ? [] : [{ type: ELEMENT.data, value: [dataOf(value)] }]),
    ...(userData.length === 0 ? [] : [{ type: ELEMENT.userData, value: Buffer.concat(userData) }]),
  ];
}

/** A mark, or `goto CHAIN`. */
function dataOf(value: string): Attribute {
  const [verb = '', chain] = value.split(' ');
  if (chain === undefined) return { type: DATA.value, value: uint32(numberOf(value)) };
  const code = VERDICT_CODES[verb];
  if (code === undefined) throw new Error(`${value} is no verdict`);
  const attributes = [
    { type: VERDICT.code, value: uint32be(code >>> 0) },
    { type: VERDICT.chain, value: text(chain) },
  ];
  return { type: DATA.verdict, value: attributes };
}

function key(type: number, bytes: Buffer): Attribute {
  return { type, value: [{ type: DATA.value, value: bytes }] };
}

/** The fields of a key as nftables writes it: `5 . 6 . 8000-8100`. */
function rangesOf(
  { fields, isInterval }: Pick<ElementChange, 'fields' | 'isInterval'>,
  keyText: string,
): readonly Range[] {
  const parts = keyText.split(' . ');
  if (parts.length !== fields.length) throw new Error(`${keyText} has not ${fields.length} fields`);
  return fields.map((field, index) => rangeOf(field, parts[index] ?? '', isInterval));
}

function rangeOf(field: ElementField, part: string, isInterval: boolean): Range {
  if (field === 'ifname') {
    const name = Buffer.alloc(FIELD_BYTES.ifname);
    const text = part.replaceAll('"', '');
    if (Buffer.byteLength(text) >= name.length) throw new Error(`${text} is longer than an interface's name`);
    name.write(text, 'utf8');
    return { first: name, last: name };
  }
  if (field === 'ipv4_addr' || field === 'ipv6_addr') return addressRange(part);
  const [first = '', last = first] = part.split('-');
  return { first: fieldNumber(field, first, isInterval), last: fieldNumber(field, last, isInterval) };
}

function addressRange(part: string): Range {
  const cidr = part.includes('/') ? parseCidr(part) : undefined;
  const [first = '', last = first] = part.split('-');
  const ends = cidr === undefined ? [parseIp(first), parseIp(last)] : [cidrFirst(cidr), cidrLast(cidr)];
  const [low, high] = ends;
  if (low === undefined || high === undefined) throw new Error(`${part} is no address, network or range`);
  return { first: Buffer.from(ipBytes(low)), last: Buffer.from(ipBytes(high)) };
}

function fieldNumber(
  field: 'mark' | 'classid' | 'inet_proto' | 'inet_service',
  value: string,
  isInterval: boolean,
): Buffer {
  const number = numberOf(value);
  // A mark or classid is in the host's order, a port in the network's; what is compared with ranges always is, and nft turns it in the rule.
  if ((field === 'mark' || field === 'classid') && !isInterval) return uint32(number);
  const bytes = Buffer.alloc(FIELD_BYTES[field]);
  bytes.writeUIntBE(number, 0, bytes.length);
  return bytes;
}

function numberOf(value: string): number {
  const number = Number(value);
  if (value === '' || !Number.isInteger(number)) throw new Error(`${value} is no number`);
  return number;
}

/** The next value; undefined after the last one there is. */
function following(bytes: Buffer): Buffer | undefined {
  const next = Buffer.from(bytes);
  for (let index = next.length - 1; index >= 0; index--) {
    const octet = (next[index] ?? 0) + 1;
    next[index] = octet & 0xff;
    if (octet <= 0xff) return next;
  }
  return undefined;
}

/** In a key of several fields each is filled up to a multiple of 4 bytes. */
function padded(field: Buffer): Buffer {
  return field.length % 4 === 0 ? field : Buffer.concat([field], (field.length + 3) & ~3);
}

function typeLengthValue(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length]), value]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function uint32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
