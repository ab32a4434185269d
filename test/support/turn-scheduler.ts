// Runs concurrent work one datastore operation at a time, in an order drawn from a seed: the same seed gives the same
// interleaving. Each operation waits for its turn; the loop lets one go when everybody waits or has ended.

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class TurnScheduler {
  readonly #random: () => number;
  readonly #waiting: (() => void)[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Resolves when it is the caller's turn. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Hands out turns until all of the work has ended; throws its first failure, or after `maxTurns`. */
  async run(work: readonly Promise<unknown>[], maxTurns: number): Promise<void> {
    let hasEnded = false;
    const all = Promise.all(work).finally(() => {
      hasEnded = true;
    });
    all.catch(() => {});
    for (let turns = 0; !hasEnded; turns++) {
      if (turns > maxTurns) throw new Error(`not done after ${maxTurns} turns`);
      await settle();
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1);
      next?.();
    }
    await all;
  }
}

/** Lets every promise that can go on do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
