// A stack of numbers in one typed column: an array of the engine's own would be given back and asked for again as it shrinks
// and grows by tens of thousands.

import { grownColumn } from './column.ts';

export class IdStack {
  #ids = new Int32Array(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(id: number): void {
    if (this.#size === this.#ids.length) this.#ids = grownColumn(this.#ids, this.#size + 1);
    this.#ids[this.#size++] = id;
  }

  /** Only where there is one. */
  pop(): number {
    return this.#ids[--this.#size] ?? 0;
  }
}
