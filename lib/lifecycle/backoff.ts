// Bounded exponential backoff with jitter for everything that is tried again, and the wait between two attempts.

import { setTimeout as timeout } from 'node:timers/promises';

export interface BackoffOptions {
  /** Upper end of the first delay. */
  readonly minMs: number;
  /** No delay is longer. */
  readonly maxMs: number;
  /** Growth per attempt; 2 if left out. */
  readonly factor?: number;
  /** In [0, 1); Math.random if left out. */
  readonly random?: () => number;
}

/** Delays that grow from attempt to attempt. Half of each is random, so that many clients do not come back at once. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    if (!(options.minMs > 0 && options.maxMs >= options.minMs)) {
      throw new RangeError(`backoff needs 0 < minMs <= maxMs, got ${options.minMs} and ${options.maxMs}`);
    }
    this.#options = options;
  }

  /** Attempts since the start or the last reset. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Milliseconds to wait before the next attempt: between half the bound of this attempt and the bound. */
  next(): number {
    const { minMs, maxMs, factor = 2, random = Math.random } = this.#options;
    const bound = Math.min(maxMs, minMs * factor ** this.#attempts);
    this.#attempts += 1;
    return bound / 2 + (bound / 2) * random();
  }

  /** After a success. */
  reset(): void {
    this.#attempts = 0;
  }
}

/** Waits; true after the whole time, false as soon as the signal aborts. Never rejects. */
export async function waitFor(delayMs: number, signal?: AbortSignal): Promise<boolean> {
  try {
    await timeout(delayMs, undefined, signal === undefined ? {} : { signal });
    return true;
  } catch {
    return false;
  }
}
