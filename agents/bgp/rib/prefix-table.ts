// Prefixes of one family as small integers: open addressing over typed columns, so that every other table is a column
// indexed by the same number and a table of half a million prefixes is nothing for the garbage collector to walk.

import type { Cidr } from '../../../lib/net/ip.ts';
import { FIRST_CAPACITY, grownColumn } from './column.ts';
import { IdStack } from './id-stack.ts';

/** Length of a number that no prefix has now. */
const FREE = 255;

export class PrefixTable {
  readonly family: 4 | 6;
  readonly #isWide: boolean;
  /** Number + 1 by hash; 0 is empty. Twice as many slots as prefixes. */
  #slots = new Int32Array(2 * FIRST_CAPACITY);
  /** The address in words of 32 bits, most significant first; IPv4 has the first alone. */
  #a = new Uint32Array(FIRST_CAPACITY);
  #b: Uint32Array;
  #c: Uint32Array;
  #d: Uint32Array;
  #length = new Uint8Array(FIRST_CAPACITY).fill(FREE);
  readonly #free = new IdStack();
  #next = 0;
  #size = 0;

  constructor(family: 4 | 6) {
    this.family = family;
    this.#isWide = family === 6;
    const words = this.#isWide ? FIRST_CAPACITY : 0;
    this.#b = new Uint32Array(words);
    this.#c = new Uint32Array(words);
    this.#d = new Uint32Array(words);
  }

  /** How many prefixes there are. */
  get size(): number {
    return this.#size;
  }

  /** Numbers are below this; columns beside the table have at least so many elements. */
  get capacity(): number {
    return this.#length.length;
  }

  /** Numbers that were ever given out are below this. */
  get end(): number {
    return this.#next;
  }

  isUsed(id: number): boolean {
    return this.#length[id] !== FREE;
  }

  /** Octets that the prefix takes in NLRI. */
  sizeOnWire(id: number): number {
    return 1 + ((this.#lengthOf(id) + 7) >>> 3);
  }

  /** Writes length and address octets as in NLRI (RFC 4271 §4.3); returns the offset behind them. */
  write(id: number, octets: Uint8Array, at: number): number {
    const length = this.#lengthOf(id);
    octets[at] = length;
    const end = at + 1 + ((length + 7) >>> 3);
    for (let offset = at + 1, index = 0; offset < end; index++) {
      const word = this.#word(index, id);
      for (let shift = 24; shift >= 0 && offset < end; shift -= 8) octets[offset++] = word >>> shift;
    }
    return end;
  }

  cidr(id: number): Cidr {
    let base = 0n;
    for (let index = 0; index < (this.#isWide ? 4 : 1); index++) {
      base = (base << 32n) | BigInt(this.#word(index, id));
    }
    return { family: this.family, base, length: this.#lengthOf(id) };
  }

  /** The number of a prefix; -1 if it has none. Words of the address are masked; IPv4 gives the first alone. */
  find(a: number, b: number, c: number, d: number, length: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash(a, b, c, d, length) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0) return -1;
      if (this.#isAt(entry - 1, a, b, c, d, length)) return entry - 1;
    }
  }

  findCidr(prefix: Cidr): number {
    const [a, b, c, d] = words(prefix);
    return this.find(a, b, c, d, prefix.length);
  }

  /** The number of a prefix, a new one if it has none. */
  intern(a: number, b: number, c: number, d: number, length: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(a, b, c, d, length) & mask;
    for (; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0) break;
      if (this.#isAt(entry - 1, a, b, c, d, length)) return entry - 1;
    }
    if (this.#size === this.capacity) {
      this.#grow();
      return this.intern(a, b, c, d, length);
    }
    const id = this.#free.size > 0 ? this.#free.pop() : this.#next++;
    this.#a[id] = a;
    if (this.#isWide) {
      this.#b[id] = b;
      this.#c[id] = c;
      this.#d[id] = d;
    }
    this.#length[id] = length;
    this.#slots[slot] = id + 1;
    this.#size++;
    return id;
  }

  internCidr(prefix: Cidr): number {
    const [a, b, c, d] = words(prefix);
    return this.intern(a, b, c, d, prefix.length);
  }

  /** Gives the number back. Slots behind it move up, so that no search ends early. */
  release(id: number): void {
    const mask = this.#slots.length - 1;
    let hole = this.#home(id);
    while (this.#slots[hole] !== id + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0) break;
      const fromHome = (slot - this.#home(entry - 1)) & mask;
      if (fromHome < ((slot - hole) & mask)) continue;
      this.#slots[hole] = entry;
      hole = slot;
    }
    this.#slots[hole] = 0;
    this.#length[id] = FREE;
    this.#free.push(id);
    this.#size--;
  }

  #isAt(id: number, a: number, b: number, c: number, d: number, length: number): boolean {
    if (this.#a[id] !== a || this.#length[id] !== length) return false;
    return !this.#isWide || (this.#b[id] === b && this.#c[id] === c && this.#d[id] === d);
  }

  #lengthOf(id: number): number {
    return this.#length[id] ?? 0;
  }

  #word(index: number, id: number): number {
    const column = index === 0 ? this.#a : index === 1 ? this.#b : index === 2 ? this.#c : this.#d;
    return column[id] ?? 0;
  }

  #home(id: number): number {
    const a = this.#a[id] ?? 0;
    const mask = this.#slots.length - 1;
    if (!this.#isWide) return hash(a, 0, 0, 0, this.#lengthOf(id)) & mask;
    return hash(a, this.#b[id] ?? 0, this.#c[id] ?? 0, this.#d[id] ?? 0, this.#lengthOf(id)) & mask;
  }

  #grow(): void {
    const least = this.capacity + 1;
    this.#a = grownColumn(this.#a, least);
    if (this.#isWide) {
      this.#b = grownColumn(this.#b, least);
      this.#c = grownColumn(this.#c, least);
      this.#d = grownColumn(this.#d, least);
    }
    const before = this.#length.length;
    this.#length = grownColumn(this.#length, least).fill(FREE, before);
    this.#slots = new Int32Array(2 * this.capacity);
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.#next; id++) {
      if (!this.isUsed(id)) continue;
      let slot = this.#home(id);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id + 1;
    }
  }
}

function words({ family, base }: Cidr): readonly [number, number, number, number] {
  if (family === 4) return [Number(base), 0, 0, 0];
  const word = (shift: bigint): number => Number((base >> shift) & 0xffffffffn);
  return [word(96n), word(64n), word(32n), word(0n)];
}

/** Mixes so that neighbouring networks of any length spread over the low bits. */
function hash(a: number, b: number, c: number, d: number, length: number): number {
  let mixed = a ^ Math.imul(length, 0x9e3779b1);
  if (b !== 0 || c !== 0 || d !== 0) {
    mixed = Math.imul(mixed, 0x85ebca6b) ^ b;
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) ^ c;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f) ^ d;
  }
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
