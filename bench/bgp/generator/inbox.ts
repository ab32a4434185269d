// What one peer has received, as it came: octets go straight from the socket into one region of memory, and prefixes are
// counted by their lengths alone. What they are is looked at after the clock has stopped (verify.ts).

import { AttributeType, HEADER_OCTETS } from './route-table.ts';

/** Room for one read. */
const READ_OCTETS = 512 * 1024;
const EXTENDED_LENGTH = 0x10;
const UPDATE = 2;

export class Inbox {
  /** Prefixes counted since `clear`, repeats and all. */
  announced = 0;
  withdrawn = 0;
  endOfRib = 0;
  readonly #onMessage: (type: number, body: Uint8Array) => void;
  #region: Buffer;
  #end = 0;
  #parsed = 0;

  /** `onMessage` gets everything that is no UPDATE; the body is a view that lasts for the call. */
  constructor(expectedOctets: number, onMessage: (type: number, body: Uint8Array) => void) {
    // Touched here, so that no page has to be found while the clock runs.
    this.#region = Buffer.alloc(2 * expectedOctets + 2 * READ_OCTETS, 1);
    this.#onMessage = onMessage;
  }

  /** Whole messages since `clear`. */
  get octets(): Uint8Array {
    return this.#region.subarray(0, this.#parsed);
  }

  /** Where the next octets go. */
  room(): Uint8Array {
    if (this.#region.length - this.#end < READ_OCTETS) {
      this.#region = Buffer.concat([this.#region], 2 * this.#region.length);
    }
    return this.#region.subarray(this.#end, this.#end + READ_OCTETS);
  }

  /** Octets that have been put into what `room` last gave. */
  push(octets: Uint8Array): void {
    const region = this.#region;
    // The room was given before `clear`.
    if (octets.byteOffset !== region.byteOffset + this.#end) region.set(octets, this.#end);
    this.#end += octets.length;
    while (this.#end - this.#parsed >= HEADER_OCTETS) {
      const start = this.#parsed;
      const length = uint16At(region, start + 16);
      if (length < HEADER_OCTETS) throw new Error(`message of ${length} octets`);
      if (this.#end - start < length) return;
      this.#parsed = start + length;
      const type = region[start + 18] ?? 0;
      if (type === UPDATE) this.#count(start + HEADER_OCTETS, start + length);
      else this.#onMessage(type, region.subarray(start + HEADER_OCTETS, start + length));
    }
  }

  /** Forgets what was received and counted; the beginning of a message stays. */
  clear(): void {
    this.#region.copyWithin(0, this.#parsed, this.#end);
    this.#end -= this.#parsed;
    this.#parsed = 0;
    this.announced = 0;
    this.withdrawn = 0;
    this.endOfRib = 0;
  }

  /** A new session: also without the beginning of a message. */
  reset(): void {
    this.#parsed = this.#end;
    this.clear();
  }

  #count(start: number, end: number): void {
    const region = this.#region;
    const withdrawnEnd = start + 2 + uint16At(region, start);
    const attributesStart = withdrawnEnd + 2;
    const attributesEnd = attributesStart + uint16At(region, withdrawnEnd);
    if (attributesEnd > end) throw new Error('UPDATE with lengths beyond its end');
    this.withdrawn += countPrefixes(region, start + 2, withdrawnEnd);
    this.announced += countPrefixes(region, attributesEnd, end);
    if (attributesEnd === attributesStart) {
      // RFC 4724 §2
      if (end - start === 4) this.endOfRib++;
      return;
    }
    if (attributesEnd === end) this.#countMultiprotocol(attributesStart, attributesEnd);
  }

  #countMultiprotocol(start: number, end: number): void {
    const region = this.#region;
    for (const { type, from, to } of attributesIn(region, start, end)) {
      if (type === AttributeType.mpReachNlri) {
        this.announced += countPrefixes(region, reachNlriOffset(region, from), to);
      } else if (type === AttributeType.mpUnreachNlri) {
        if (to === from + 3) this.endOfRib++;
        this.withdrawn += countPrefixes(region, from + 3, to);
      }
    }
  }
}

/** Path attributes between two offsets, each with where its value is. */
export function* attributesIn(
  octets: Uint8Array,
  start: number,
  end: number,
): Generator<{ readonly flags: number; readonly type: number; readonly from: number; readonly to: number }> {
  let offset = start;
  while (offset + 3 <= end) {
    const flags = octets[offset] ?? 0;
    const isLong = (flags & EXTENDED_LENGTH) !== 0;
    const from = offset + (isLong ? 4 : 3);
    const to = from + (isLong ? uint16At(octets, offset + 2) : (octets[offset + 2] ?? 0));
    if (to > end) throw new Error('attribute beyond the end of its UPDATE');
    yield { flags, type: octets[offset + 1] ?? 0, from, to };
    offset = to;
  }
}

/** Behind AFI, SAFI, next hop with its length and a reserved octet. */
export function reachNlriOffset(octets: Uint8Array, from: number): number {
  return from + 5 + (octets[from + 3] ?? 0);
}

export function uint16At(octets: Uint8Array, offset: number): number {
  return ((octets[offset] ?? 0) << 8) | (octets[offset + 1] ?? 0);
}

export function prefixOctets(length: number): number {
  return 1 + ((length + 7) >>> 3);
}

function countPrefixes(octets: Uint8Array, start: number, end: number): number {
  let count = 0;
  let offset = start;
  while (offset < end) {
    offset += prefixOctets(octets[offset] ?? 0);
    count++;
  }
  if (offset > end) throw new Error('prefix beyond the end of its field');
  return count;
}
