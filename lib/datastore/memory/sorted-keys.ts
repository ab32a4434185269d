// Keys in order, with ranges from a point on. Order is that of UTF-16 units, which for keys without characters outside
// the basic plane (all of ours) is etcd's order of octets.

export class SortedKeys {
  readonly #keys: string[] = [];

  add(key: string): void {
    const index = this.#indexOf(key);
    if (this.#keys[index] !== key) this.#keys.splice(index, 0, key);
  }

  delete(key: string): void {
    const index = this.#indexOf(key);
    if (this.#keys[index] === key) this.#keys.splice(index, 1);
  }

  /** Keys that are at least `first` and, if given, greater than `after`. */
  *from(first: string, after?: string): Generator<string> {
    const startsAfter = after !== undefined && after >= first;
    let index = this.#indexOf(startsAfter ? after : first);
    if (startsAfter && this.#keys[index] === after) index += 1;
    for (; index < this.#keys.length; index += 1) {
      const key = this.#keys[index];
      if (key !== undefined) yield key;
    }
  }

  /** Index of the first key that is not less than `key`. */
  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
