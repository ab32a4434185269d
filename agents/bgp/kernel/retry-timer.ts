// When the kernel is looked at again: soon after something has changed there, later and later for what stays refused.

const FIRST_MS = 1000;

export interface RetryTimerOptions {
  /** One at a time; must not reject. */
  readonly look: () => Promise<void>;
  /** The longest delay after refusals. */
  readonly maxMs: number;
}

export class RetryTimer {
  readonly #options: RetryTimerOptions;
  #timer: NodeJS.Timeout | undefined;
  /** As `performance.now()` counts. */
  #dueAt = 0;
  #refusals = 0;
  #isLooking = false;
  #isStopped = false;

  constructor(options: RetryTimerOptions) {
    this.#options = options;
  }

  /** After 1 s, and twice as long after each look that ends in a refusal again; a look that is due already does. */
  refused(): void {
    if (this.#timer !== undefined) return;
    this.#arm(Math.min(FIRST_MS * 2 ** this.#refusals, this.#options.maxMs));
    this.#refusals++;
  }

  /** Within so long, whatever is refused: it may be so no longer. Counts as no refusal. */
  within(milliseconds: number): void {
    if (this.#timer === undefined || this.#dueAt > performance.now() + milliseconds) this.#arm(milliseconds);
  }

  /** Nothing is refused any more. */
  succeeded(): void {
    this.#refusals = 0;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #arm(milliseconds: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#dueAt = performance.now() + milliseconds;
    this.#timer = setTimeout(() => void this.#fire(milliseconds), milliseconds);
  }

  async #fire(milliseconds: number): Promise<void> {
    this.#timer = undefined;
    // What one look takes longer than changes are apart must not pile up.
    if (this.#isLooking) {
      this.#arm(milliseconds);
      return;
    }
    this.#isLooking = true;
    await this.#options.look().finally(() => {
      this.#isLooking = false;
    });
  }
}
