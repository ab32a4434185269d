// Puts records of many hosts into one order as far as a short wait can: each is held for a moment, then told by its time.

import type { RingRecord } from '../../lib/events/record-ring.ts';
import { compareRecords } from '../../lib/protocol/record-lines.ts';

/** Longer than records usually take from a host to here. */
const HOLD_MS = 200;
/** More than this are told at once. */
const MAX_HELD = 10_000;

export class OrderedRecords<T extends RingRecord> {
  readonly #tell: (record: T) => void;
  #held: T[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (record: T) => void) {
    this.#tell = tell;
  }

  add(record: T): void {
    this.#held.push(record);
    if (this.#held.length >= MAX_HELD) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), HOLD_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const records = this.#held.sort(compareRecords);
    this.#held = [];
    for (const record of records) this.#tell(record);
  }

  /** What is still held is not told any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#held = [];
  }
}
