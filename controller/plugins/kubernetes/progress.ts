// Up to which revision of the API everything has been mirrored (pure): the least of what the watches have seen, and below
// the first change that is not yet written.

export class MirrorProgress {
  readonly #seen = new Map<string, number>();
  /** Earliest revision at which a key became different from what is stored. */
  readonly #pendingSince = new Map<string, number>();
  readonly #sources: readonly string[];

  constructor(sources: readonly string[]) {
    this.#sources = sources;
  }

  /** A watch has delivered everything up to this revision. */
  seen(source: string, revision: number): void {
    const before = this.#seen.get(source) ?? 0;
    this.#seen.set(source, before === Number.POSITIVE_INFINITY ? revision : Math.max(revision, before));
  }

  /** There is nothing of this source, until it is seen again. */
  absent(source: string): void {
    this.#seen.set(source, Number.POSITIVE_INFINITY);
  }

  /** A key changed at this revision (0: at an unknown time, so nothing is mirrored until it is done). */
  changed(key: string, revision: number): void {
    this.#pendingSince.set(key, Math.min(revision, this.#pendingSince.get(key) ?? Number.POSITIVE_INFINITY));
  }

  /** A comparison of the key is written; `changedMeanwhile` is the revision of a change since, if any. */
  done(key: string, changedMeanwhile: number | undefined): void {
    if (changedMeanwhile === undefined) this.#pendingSince.delete(key);
    else this.#pendingSince.set(key, changedMeanwhile);
  }

  get pending(): number {
    return this.#pendingSince.size;
  }

  /** Undefined until every watch has delivered its first list. */
  mirrored(): number | undefined {
    let revision = Number.POSITIVE_INFINITY;
    for (const source of this.#sources) {
      const seen = this.#seen.get(source);
      if (seen === undefined) return undefined;
      revision = Math.min(revision, seen);
    }
    for (const since of this.#pendingSince.values()) revision = Math.min(revision, since - 1);
    return Math.max(0, revision);
  }
}
