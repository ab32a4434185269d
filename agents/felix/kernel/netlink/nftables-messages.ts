// What is read of nftables by messages of our own (linux/netfilter/nf_tables.h): elements of a counting set, and the counters of a
// chain's rules. Dumps of both take no lock that a transaction takes.

import { eachAttribute, encodeAttributes, findAttribute, type NetlinkMessage } from './message.ts';

const SUBSYSTEM = 10 << 8;
const NFT_MSG_NEWRULE = SUBSYSTEM | 6;
const NFT_MSG_GETRULE = SUBSYSTEM | 7;
const NFT_MSG_NEWSETELEM = SUBSYSTEM | 12;
const NFT_MSG_GETSETELEM = SUBSYSTEM | 13;
const NFPROTO_INET = 1;
/** nfgenmsg: family, version, resource. */
const HEADER_BYTES = 4;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_EXPIRATION = 5;
const NFTA_SET_ELEM_EXPR = 7;
const NFTA_DATA_VALUE = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_COUNTER_BYTES = 1;
const NFTA_COUNTER_PACKETS = 2;

export interface Counts {
  readonly packets: number;
  readonly bytes: number;
}

/** An element of a set whose elements count and expire. */
export interface CountingElement extends Counts {
  /** The fields of the key, each filled up to a multiple of 4 bytes. */
  readonly key: Buffer;
  /** Milliseconds until it goes unless another packet comes. */
  readonly expiresInMs: number;
}

/** Dumped: the elements of a set of an `inet` table. */
export function getSetElements(table: string, set: string): NetlinkMessage {
  return request(NFT_MSG_GETSETELEM, [
    { type: NFTA_SET_ELEM_LIST_TABLE, value: text(table) },
    { type: NFTA_SET_ELEM_LIST_SET, value: text(set) },
  ]);
}

/** Dumped: the rules of a chain of an `inet` table. */
export function getRules(table: string, chain: string): NetlinkMessage {
  return request(NFT_MSG_GETRULE, [
    { type: NFTA_RULE_TABLE, value: text(table) },
    { type: NFTA_RULE_CHAIN, value: text(chain) },
  ]);
}

/** The counting elements of one message of a dump. */
export function decodeElements(message: NetlinkMessage): readonly CountingElement[] {
  if (message.type !== NFT_MSG_NEWSETELEM) return [];
  const list = findAttribute(message.body.subarray(HEADER_BYTES), NFTA_SET_ELEM_LIST_ELEMENTS);
  const elements: CountingElement[] = [];
  eachAttribute(list ?? Buffer.alloc(0), (_type, value) => {
    const element = decodeElement(value);
    if (element !== undefined) elements.push(element);
  });
  return elements;
}

/** The last counter of a rule, of one message of a dump; undefined: it has none. */
export function decodeRuleCounter(message: NetlinkMessage): Counts | undefined {
  if (message.type !== NFT_MSG_NEWRULE) return undefined;
  const expressions = findAttribute(message.body.subarray(HEADER_BYTES), NFTA_RULE_EXPRESSIONS);
  let found: Counts | undefined;
  eachAttribute(expressions ?? Buffer.alloc(0), (_type, value) => {
    found = decodeCounter(value) ?? found;
  });
  return found;
}

/** One pass over an element's attributes: there may be tens of thousands. */
function decodeElement(attributes: Buffer): CountingElement | undefined {
  let key: Buffer | undefined;
  let counts: Counts | undefined;
  let expiresInMs = 0;
  eachAttribute(attributes, (type, value) => {
    if (type === NFTA_SET_ELEM_KEY) key = findAttribute(value, NFTA_DATA_VALUE);
    else if (type === NFTA_SET_ELEM_EXPR) counts = decodeCounter(value);
    else if (type === NFTA_SET_ELEM_EXPIRATION) expiresInMs = uint64(value);
  });
  return key === undefined || counts === undefined ? undefined : { key, expiresInMs, ...counts };
}

function decodeCounter(expression: Buffer): Counts | undefined {
  if (findAttribute(expression, NFTA_EXPR_NAME)?.toString('latin1') !== 'counter\0') return undefined;
  const data = findAttribute(expression, NFTA_EXPR_DATA) ?? Buffer.alloc(0);
  const packets = findAttribute(data, NFTA_COUNTER_PACKETS);
  const bytes = findAttribute(data, NFTA_COUNTER_BYTES);
  return packets === undefined || bytes === undefined
    ? undefined
    : { packets: uint64(packets), bytes: uint64(bytes) };
}

function request(type: number, attributes: Parameters<typeof encodeAttributes>[0]): NetlinkMessage {
  const header = Buffer.from([NFPROTO_INET, 0, 0, 0]);
  return { type, flags: 0, body: Buffer.concat([header, encodeAttributes(attributes)]) };
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function uint64(value: Buffer): number {
  return value.length < 8 ? 0 : Number(value.readBigUInt64BE(0));
}
