// The paths of prefixes that have very many of them (RFC 7911), by source and path id: to walk over them for each one that
// comes would take ever longer.

export class PathIndex {
  readonly #byPrefix = new Map<number, Map<number, number>>();

  /** `fill` tells of every path of the prefix, where they are not known yet. 0: it has none of that source and id. */
  find(
    id: number,
    source: number,
    pathId: number,
    fill: (note: (source: number, pathId: number, path: number) => void) => void,
  ): number {
    let paths = this.#byPrefix.get(id);
    if (paths === undefined) {
      const made = new Map<number, number>();
      fill((ofSource, withId, path) => made.set(keyOf(ofSource, withId), path));
      this.#byPrefix.set(id, made);
      paths = made;
    }
    return paths.get(keyOf(source, pathId)) ?? 0;
  }

  /** The prefix has one more. */
  note(id: number, source: number, pathId: number, path: number): void {
    if (this.#byPrefix.size > 0) this.#byPrefix.get(id)?.set(keyOf(source, pathId), path);
  }

  /** Some of the prefix's paths are other ones now. */
  forget(id: number): void {
    if (this.#byPrefix.size > 0) this.#byPrefix.delete(id);
  }
}

/** Both are whole numbers, the path id of 32 bits. */
function keyOf(source: number, pathId: number): number {
  return source * 2 ** 32 + pathId;
}
