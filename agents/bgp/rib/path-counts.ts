// How many paths a source has in one family, and whether that is too many.

/** Of one source, in one family. */
export interface PathCounts {
  /** Paths held, rejected and stale ones too. */
  received: number;
  /** Of them: may take part in the decision. */
  accepted: number;
  /** Of them: kept over a restart and not confirmed yet (RFC 4724 §4.2). */
  stale: number;
  /** Of them: to be said again before the refresh that has begun ends (RFC 7313 §4). */
  awaited: number;
}

/** Of every source, in one family. */
export class SourceCounts {
  readonly #bySource: (PathCounts | undefined)[] = [];

  of(source: number): PathCounts {
    let counts = this.#bySource[source];
    if (counts === undefined) {
      counts = { received: 0, accepted: 0, stale: 0, awaited: 0 };
      this.#bySource[source] = counts;
    }
    return counts;
  }

  forget(source: number): void {
    this.#bySource[source] = undefined;
  }
}

/**
 * Whether a source has more prefixes than it may. What it left at its restart counts only beyond as much again: restarts
 * may follow one another before anything is confirmed or swept.
 */
export function isOverLimit({ received, stale }: Readonly<PathCounts>, limit: number): boolean {
  return received - stale > limit || received > 2 * limit;
}
