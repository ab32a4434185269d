// Writes UPDATE messages one after the other, for many peers at once (RFC 4271 §4.3, RFC 4760 §3, §4). They are put together
// in a draft and copied once into chunks of exactly their size: a socket that still holds one holds nothing else with it.

import { HEADER_LENGTH } from '../packet/header.ts';
import { type AddressFamily, AttributeCode, AttributeFlag, FAMILIES, MessageType } from '../packet/iana.ts';
import type { OutSet } from './out-set.ts';
import type { PrefixTable } from './prefix-table.ts';

/** Room for any message behind one of any length. */
const DRAFT_OCTETS = 131_072;
const WITHDRAWAL_LIMIT = 4096;
const PATH_ID_OCTETS = 4;
const NOTHING = new Uint8Array();

/** The next number of a chain, 0 at its end. */
export type Chain = (unit: number) => number;

/** Whole messages, never changed once they are there. */
export interface Chunk {
  /** Empty until `finishChunk()`. */
  octets: Uint8Array;
}

export class UpdateWriter {
  readonly #octets = new Uint8Array(DRAFT_OCTETS);
  #chunk: Chunk = { octets: NOTHING };
  #at = 0;
  #message = 0;

  /** How many prefixes the last message has. */
  count = 0;

  get lastMessage(): { readonly chunk: Chunk; readonly start: number; readonly end: number } {
    return { chunk: this.#chunk, start: this.#message, end: this.#at };
  }

  /** What has been written so far has its octets now; more goes into another chunk. */
  finishChunk(): void {
    if (this.#at === 0) return;
    this.#chunk.octets = this.#octets.slice(0, this.#at);
    this.#chunk = { octets: NOTHING };
    this.#at = 0;
  }

  /**
   * One message with as many as it holds of the chain that begins with `unit`; returns the first that it does not hold, 0
   * if none. `prefixOf` and `pathIdOf` (undefined without RFC 7911) say what stands in the NLRI for a unit.
   */
  announce(set: OutSet, prefixes: PrefixTable, unit: number, chain: Chain, nlri: NlriOf): number {
    this.#begin(set.limit);
    this.#zeros(2);
    const attributes = this.#at;
    this.#zeros(2);
    const head = this.#at;
    this.#raw(set.head);
    if (!set.isMultiprotocol) this.#u16(attributes, this.#at - head);
    const end = this.#message + set.limit - set.tail.length;
    const rest = this.#nlri(prefixes, unit, chain, nlri, end);
    if (set.isMultiprotocol) {
      this.#u16(head + 2, this.#at - head - 4);
      this.#raw(set.tail);
      this.#u16(attributes, this.#at - head);
    }
    this.#finish();
    return rest;
  }

  withdraw(family: AddressFamily, prefixes: PrefixTable, unit: number, chain: Chain, nlri: NlriOf): number {
    this.#begin(WITHDRAWAL_LIMIT);
    const end = this.#message + WITHDRAWAL_LIMIT - 2;
    const lengths = this.#at;
    this.#zeros(2);
    if (family === 'ipv4Unicast') {
      const rest = this.#nlri(prefixes, unit, chain, nlri, end);
      this.#u16(lengths, this.#at - lengths - 2);
      this.#zeros(2);
      this.#finish();
      return rest;
    }
    const { afi, safi } = FAMILIES[family];
    this.#zeros(2);
    const attribute = this.#at;
    this.#u8(AttributeFlag.optional | AttributeFlag.extendedLength);
    this.#u8(AttributeCode.mpUnreachNlri);
    this.#zeros(2);
    this.#u8(afi >>> 8);
    this.#u8(afi);
    this.#u8(safi);
    const rest = this.#nlri(prefixes, unit, chain, nlri, end);
    this.#u16(attribute + 2, this.#at - attribute - 4);
    this.#u16(attribute - 2, this.#at - attribute);
    this.#finish();
    return rest;
  }

  /** A whole message of any other kind. */
  message(octets: Uint8Array): void {
    this.count = 0;
    this.#room(octets.length);
    this.#message = this.#at;
    this.#raw(octets);
  }

  #nlri(
    prefixes: PrefixTable,
    first: number,
    chain: Chain,
    { prefixOf, pathIdOf }: NlriOf,
    end: number,
  ): number {
    let unit = first;
    this.count = 0;
    while (unit !== 0) {
      const id = prefixOf(unit);
      const size = prefixes.sizeOnWire(id) + (pathIdOf === undefined ? 0 : PATH_ID_OCTETS);
      if (this.#at + size > end) break;
      if (pathIdOf !== undefined) this.#u32(pathIdOf(unit));
      this.#at = prefixes.write(id, this.#octets, this.#at);
      unit = chain(unit);
      this.count++;
    }
    return unit;
  }

  #begin(limit: number): void {
    this.#room(limit);
    this.#message = this.#at;
    this.#octets.fill(0xff, this.#at, this.#at + 16);
    this.#octets[this.#at + 18] = MessageType.update;
    this.#at += HEADER_LENGTH;
  }

  #room(count: number): void {
    if (this.#at + count > this.#octets.length) this.finishChunk();
  }

  #finish(): void {
    this.#u16(this.#message + 16, this.#at - this.#message);
  }

  #zeros(count: number): void {
    for (let left = count; left > 0; left--) this.#u8(0);
  }

  #u8(value: number): void {
    this.#octets[this.#at++] = value;
  }

  #u16(at: number, value: number): void {
    this.#octets[at] = value >>> 8;
    this.#octets[at + 1] = value;
  }

  #u32(value: number): void {
    for (const shift of [24, 16, 8, 0]) this.#u8(value >>> shift);
  }

  #raw(octets: Uint8Array): void {
    this.#octets.set(octets, this.#at);
    this.#at += octets.length;
  }
}

/** What stands in the NLRI for a unit of an update group. */
export interface NlriOf {
  readonly prefixOf: (unit: number) => number;
  readonly pathIdOf?: (unit: number) => number;
}
