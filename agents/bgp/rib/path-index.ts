// Finds a prefix's path by its source and path id (RFC 7911). Where a prefix has very many they are kept by both: to walk
// over them for each one that comes would take ever longer.

/** The paths of each prefix as a chain that 0 ends. */
interface PathChains {
  readonly first: (id: number) => number;
  readonly next: (path: number) => number;
  readonly sourceOf: (path: number) => number;
  readonly pathIdOf: (path: number) => number;
}

/** Paths of a prefix that are walked over; beyond, they are looked up. */
const LONG_CHAIN = 32;

export class PathIndex {
  readonly #chains: PathChains;
  readonly #byPrefix = new Map<number, Map<number, number>>();

  constructor(chains: PathChains) {
    this.#chains = chains;
  }

  /** 0: it has none of that source and id. */
  find(id: number, source: number, pathId: number): number {
    const chains = this.#chains;
    let path = chains.first(id);
    let passed = 0;
    while (path !== 0 && (chains.sourceOf(path) !== source || chains.pathIdOf(path) !== pathId)) {
      if (++passed > LONG_CHAIN) return this.#pathsOf(id).get(keyOf(source, pathId)) ?? 0;
      path = chains.next(path);
    }
    return path;
  }

  /** The prefix has one more. */
  note(id: number, source: number, pathId: number, path: number): void {
    if (this.#byPrefix.size > 0) this.#byPrefix.get(id)?.set(keyOf(source, pathId), path);
  }

  /** Some of the prefix's paths are other ones now. */
  forget(id: number): void {
    if (this.#byPrefix.size > 0) this.#byPrefix.delete(id);
  }

  #pathsOf(id: number): Map<number, number> {
    const known = this.#byPrefix.get(id);
    if (known !== undefined) return known;
    const chains = this.#chains;
    const paths = new Map<number, number>();
    for (let path = chains.first(id); path !== 0; path = chains.next(path))
      paths.set(keyOf(chains.sourceOf(path), chains.pathIdOf(path)), path);
    this.#byPrefix.set(id, paths);
    return paths;
  }
}

/** Both are whole numbers, the path id of 32 bits. */
function keyOf(source: number, pathId: number): number {
  return source * 2 ** 32 + pathId;
}
