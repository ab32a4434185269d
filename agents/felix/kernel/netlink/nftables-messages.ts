// What is read of nftables by messages of our own (linux/netfilter/nf_tables.h): elements of a counting set, and the counters of a
// chain's rules. Dumps of both take no lock that a transaction takes.

import { eachAttribute, encodeAttributes, findAttribute, type NetlinkMessage } from './message.ts';
import {
  DATA,
  ELEMENT,
  ELEMENT_LIST,
  INET_HEADER,
  NFGENMSG_BYTES,
  NftMessage,
  RULE,
} from './nftables-protocol.ts';

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
  return request(NftMessage.getElements, [
    { type: ELEMENT_LIST.table, value: text(table) },
    { type: ELEMENT_LIST.set, value: text(set) },
  ]);
}

/** Dumped: the rules of a chain of an `inet` table. */
export function getRules(table: string, chain: string): NetlinkMessage {
  return request(NftMessage.getRule, [
    { type: RULE.table, value: text(table) },
    { type: RULE.chain, value: text(chain) },
  ]);
}

/** The counting elements of one message of a dump. */
export function decodeElements(message: NetlinkMessage): readonly CountingElement[] {
  if (message.type !== NftMessage.newElements) return [];
  const list = findAttribute(message.body.subarray(NFGENMSG_BYTES), ELEMENT_LIST.elements);
  const elements: CountingElement[] = [];
  eachAttribute(list ?? Buffer.alloc(0), (_type, value) => {
    const element = decodeElement(value);
    if (element !== undefined) elements.push(element);
  });
  return elements;
}

/** The last counter of a rule, of one message of a dump; undefined: it has none. */
export function decodeRuleCounter(message: NetlinkMessage): Counts | undefined {
  if (message.type !== NftMessage.newRule) return undefined;
  const expressions = findAttribute(message.body.subarray(NFGENMSG_BYTES), RULE.expressions);
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
    if (type === ELEMENT.key) key = findAttribute(value, DATA.value);
    else if (type === ELEMENT.expression) counts = decodeCounter(value);
    else if (type === ELEMENT.expiration) expiresInMs = uint64(value);
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
  return { type, flags: 0, body: Buffer.concat([INET_HEADER, encodeAttributes(attributes)]) };
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function uint64(value: Buffer): number {
  return value.length < 8 ? 0 : Number(value.readBigUInt64BE(0));
}
