// When a peer is called again: one timer, after the backoff that the ends of its connections have earned.

import { Backoff } from './backoff.ts';

export class Reconnect {
  readonly backoff = new Backoff();
  readonly #random: () => number;
  #timer: NodeJS.Timeout | undefined;
  #seconds = 0;

  /** `random`: 0 to 1, for jitter. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The backoff that the last attempt waited for, or the next one does. */
  get seconds(): number {
    return this.#seconds;
  }

  /** `isError`: the connection did not only go away. */
  afterBackoff(isError: boolean, attempt: () => void): void {
    this.#seconds = this.backoff.next(isError);
    const jitter = 0.75 + 0.25 * this.#random();
    this.after(this.#seconds * jitter, attempt);
  }

  /** After so many seconds, instead of what was to be before. */
  after(seconds: number, attempt: () => void): void {
    this.cancel();
    this.#timer = setTimeout(attempt, 1000 * seconds);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
