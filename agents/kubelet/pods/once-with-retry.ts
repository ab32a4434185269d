// Work that must have succeeded once before others may go on: callers share a run under way, and a failed one is tried
// again by the next caller.

export class OnceWithRetry {
  readonly #work: (signal: AbortSignal) => Promise<void>;
  #running: Promise<void> | undefined;
  #isDone = false;

  constructor(work: (signal: AbortSignal) => Promise<void>) {
    this.#work = work;
  }

  /** Rejects with what the run failed with. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#isDone) return;
    this.#running ??= this.#try(signal);
    await this.#running;
  }

  async #try(signal: AbortSignal): Promise<void> {
    try {
      await this.#work(signal);
      this.#isDone = true;
    } finally {
      this.#running = undefined;
    }
  }
}
