// A set of small numbers as bits: which prefixes or paths are still to be told to somebody.

import { grownColumn } from './column.ts';

export class IdSet {
  #words = new Uint32Array(32);
  #size = 0;
  /** No member is in a word before this one. */
  #from = 0;

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    return (((this.#words[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
  }

  add(id: number): void {
    const at = id >>> 5;
    if (at >= this.#words.length) this.#words = grownColumn(this.#words, at + 1);
    const word = this.#words[at] ?? 0;
    const bit = 1 << (id & 31);
    if ((word & bit) !== 0) return;
    this.#words[at] = word | bit;
    this.#size++;
    if (at < this.#from) this.#from = at;
  }

  /** Takes the smallest members out, at most `limit` of them. */
  take(limit: number): number[] {
    const taken: number[] = [];
    while (this.#size > 0 && taken.length < limit) {
      const word = this.#words[this.#from] ?? 0;
      if (word === 0) {
        this.#from++;
        continue;
      }
      const bit = 31 - Math.clz32(word & -word);
      this.#words[this.#from] = word & ~(1 << bit);
      this.#size--;
      taken.push(this.#from * 32 + bit);
    }
    return taken;
  }

  copy(): IdSet {
    const copy = new IdSet();
    copy.#words = this.#words.slice();
    copy.#size = this.#size;
    copy.#from = this.#from;
    return copy;
  }
}
