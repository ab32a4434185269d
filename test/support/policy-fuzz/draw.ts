// Choices of a random generator: every random object is built from these, so that a seed gives the same objects anywhere.

import { SeededRandom } from '../random.ts';

export class Draw {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.#random.below(times) === 0;
  }

  below(bound: number): number {
    return this.#random.below(bound);
  }

  /** One of the values; throws if there is none. */
  one<T>(values: readonly T[]): T {
    const value = values[this.#random.below(values.length)];
    if (value === undefined) throw new Error('nothing to choose from');
    return value;
  }

  /** Different ones, at least one and `most` at most, in the order of `values`. */
  few<T>(values: readonly T[], most = 3): T[] {
    const wanted = 1 + this.#random.below(Math.min(most, values.length));
    const chosen = new Set<number>();
    while (chosen.size < wanted) chosen.add(this.#random.below(values.length));
    return values.filter((_value, index) => chosen.has(index));
  }

  /** One of the rows, in proportion to their weights. */
  weighted<T extends { readonly weight: number }>(rows: readonly T[]): T {
    let left = this.#random.below(rows.reduce((sum, { weight }) => sum + weight, 0));
    for (const row of rows) {
      left -= row.weight;
      if (left < 0) return row;
    }
    throw new Error('nothing to choose from');
  }

  /** The drawn value once in `times`, else undefined. */
  maybe<T>(times: number, value: () => T): T | undefined {
    return this.once(times) ? value() : undefined;
  }
}

/** Without the fields that are undefined, as stored. */
export function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Fields>;
}
