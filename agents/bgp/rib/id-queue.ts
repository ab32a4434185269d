// Numbers that wait for their turn, each once, in the order in which they came.

import { FIRST_CAPACITY, grownColumn } from './column.ts';

export class IdQueue {
  #isWaiting = new Uint8Array(FIRST_CAPACITY);
  #waiting = new Int32Array(FIRST_CAPACITY);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(id: number): void {
    if (id >= this.#isWaiting.length) this.#isWaiting = grownColumn(this.#isWaiting, id + 1);
    if (this.#isWaiting[id] === 1) return;
    this.#isWaiting[id] = 1;
    if (this.#size === this.#waiting.length) this.#waiting = grownColumn(this.#waiting, this.#size + 1);
    this.#waiting[this.#size++] = id;
  }

  /** Visits the first ones, at most `limit`; nothing may be added meanwhile. */
  take(limit: number, visit: (id: number) => void): void {
    const count = Math.min(limit, this.#size);
    for (let index = 0; index < count; index++) {
      const id = this.#waiting[index] ?? 0;
      this.#isWaiting[id] = 0;
      visit(id);
    }
    this.#waiting.copyWithin(0, count, this.#size);
    this.#size -= count;
  }
}
