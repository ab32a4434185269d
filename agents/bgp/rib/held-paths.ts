// Paths that are gone while somebody still needs their numbers: a peer has been told of them by it (RFC 7911) and does not know yet.

export class HeldPaths {
  #paths: number[] = [];
  /** How many each prefix has. */
  readonly #byPrefix = new Map<number, number>();

  get isEmpty(): boolean {
    return this.#paths.length === 0;
  }

  hasPrefix(id: number): boolean {
    return this.#byPrefix.has(id);
  }

  add(path: number, id: number): void {
    this.#paths.push(path);
    this.#byPrefix.set(id, 1 + (this.#byPrefix.get(id) ?? 0));
  }

  /** Takes out those that nobody holds any more, telling of each. */
  release(
    isHeld: (path: number) => boolean,
    prefixOf: (path: number) => number,
    free: (path: number) => void,
  ): void {
    const still: number[] = [];
    for (const path of this.#paths) {
      if (isHeld(path)) {
        still.push(path);
        continue;
      }
      const id = prefixOf(path);
      const left = (this.#byPrefix.get(id) ?? 1) - 1;
      if (left > 0) this.#byPrefix.set(id, left);
      else this.#byPrefix.delete(id);
      free(path);
    }
    this.#paths = still;
  }
}
