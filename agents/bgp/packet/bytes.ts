// Bounds-checked cursor and growing writer: the only code of bgpd that touches octets. Network byte order throughout.

/** What a read past the end means depends on the place: the caller says which error it is. */
export type ShortRead = () => Error;

/** A copy that shares no memory; `slice` of a Buffer would be a view, and keep a whole read of the socket alive. */
export function copyOf(octets: Uint8Array, start = 0, end = octets.length): Uint8Array {
  return new Uint8Array(octets.subarray(start, end));
}

/** Reads forward over octets that it neither copies nor changes; `bytes` and `rest` hand out copies. */
export class ByteReader {
  readonly #octets: Uint8Array;
  readonly #end: number;
  readonly #short: ShortRead;
  #at: number;

  constructor(octets: Uint8Array, short: ShortRead, start = 0, end = octets.length) {
    this.#octets = octets;
    this.#short = short;
    this.#at = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#octets[this.#advance(1)] ?? 0;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  /** Unsigned: `<<` alone would make a negative number of a high octet. */
  u32(): number {
    const octets = this.#octets;
    const at = this.#advance(4);
    const high = ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
    return high * 0x10000 + (((octets[at + 2] ?? 0) << 8) | (octets[at + 3] ?? 0));
  }

  /** `count` octets as an unsigned number of any size; four at a time, as each step makes a number anew. */
  big(count: number): bigint {
    if (count === 4) return BigInt(this.u32());
    if (count > this.remaining) throw this.#short();
    let value = 0n;
    for (let left = count % 4; left > 0; left--) value = (value << 8n) | BigInt(this.u8());
    for (let left = count - (count % 4); left > 0; left -= 4) value = (value << 32n) | BigInt(this.u32());
    return value;
  }

  bytes(count: number): Uint8Array {
    const start = this.#advance(count);
    return copyOf(this.#octets, start, start + count);
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** A cursor over the next `count` octets that cannot read past them. */
  slice(count: number, short: ShortRead = this.#short): ByteReader {
    const start = this.#advance(count);
    return new ByteReader(this.#octets, short, start, start + count);
  }

  #advance(count: number): number {
    if (count > this.remaining) throw this.#short();
    const start = this.#at;
    this.#at += count;
    return start;
  }
}

/** Beyond this many octets what is written is an allocation of its own. */
const MAX_IN_SLAB = 1024;
const SLAB_OCTETS = 16_384;
/** Small results are cut from one allocation after the other: an array buffer each would cost more than its content. */
let slab = new Uint8Array(SLAB_OCTETS);
let slabAt = 0;
const NOTHING = new Uint8Array(0);
/** What a writer that is done was writing into, for the next one. */
let spare: Uint8Array | undefined;

function fromSlab(octets: Uint8Array, length: number): Uint8Array {
  if (length > MAX_IN_SLAB) return octets.slice(0, length);
  if (slabAt + length > SLAB_OCTETS) {
    slab = new Uint8Array(SLAB_OCTETS);
    slabAt = 0;
  }
  const start = slabAt;
  // For so few octets a loop is quicker than two views and a copy between them.
  for (let index = 0; index < length; index++) slab[slabAt++] = octets[index] ?? 0;
  return new Uint8Array(slab.buffer, start, length);
}

/** Appends octets; lengths are written after the body they measure (`patchU16`). */
export class ByteWriter {
  #octets: Uint8Array;
  #length = 0;

  constructor() {
    this.#octets = spare ?? new Uint8Array(1024);
    spare = undefined;
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#octets[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8((value >>> 8) & 0xff).u8(value & 0xff);
  }

  u32(value: number): this {
    this.#reserve(4);
    const octets = this.#octets;
    octets[this.#length] = value >>> 24;
    octets[this.#length + 1] = value >>> 16;
    octets[this.#length + 2] = value >>> 8;
    octets[this.#length + 3] = value;
    this.#length += 4;
    return this;
  }

  /** The low `count` octets of `value`. */
  big(value: bigint, count: number): this {
    const whole = count - (count % 4);
    for (let left = count; left > whole; left--) this.u8(Number((value >> BigInt(8 * (left - 1))) & 0xffn));
    for (let left = whole; left > 4; left -= 4)
      this.u32(Number((value >> BigInt(8 * (left - 4))) & 0xffffffffn));
    return whole > 0 ? this.u32(Number(value & 0xffffffffn)) : this;
  }

  raw(octets: Uint8Array): this {
    this.#reserve(octets.length);
    this.#octets.set(octets, this.#length);
    this.#length += octets.length;
    return this;
  }

  patchU16(offset: number, value: number): void {
    this.#octets[offset] = (value >>> 8) & 0xff;
    this.#octets[offset + 1] = value & 0xff;
  }

  /** Makes room for `count` octets at `offset`; what stands there moves behind them. */
  insert(offset: number, count: number): void {
    this.#reserve(count);
    this.#octets.copyWithin(offset + count, offset, this.#length);
    this.#length += count;
  }

  patchU8(offset: number, value: number): void {
    this.#octets[offset] = value;
  }

  setFlag(offset: number, flag: number): void {
    this.#octets[offset] = (this.#octets[offset] ?? 0) | flag;
  }

  /** What has been written; the writer is empty then. */
  finish(): Uint8Array {
    const written = fromSlab(this.#octets, this.#length);
    spare = this.#octets;
    this.#octets = NOTHING;
    this.#length = 0;
    return written;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#octets.length) return;
    const grown = new Uint8Array(Math.max(1024, this.#octets.length * 2, this.#length + count));
    grown.set(this.#octets.subarray(0, this.#length));
    this.#octets = grown;
  }
}
