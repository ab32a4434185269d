// The queue between what a watch receives and who reads it: ordered, bounded by a signal to the producer, ends by error.

import type { WatchBatch } from './datastore.ts';

/** One producer, one consumer. The producer stops (or drops to re-reading) when `push` says that it is full. */
export class BatchQueue {
  readonly #limit: number;
  readonly #onDrained: (() => void) | undefined;
  #batches: WatchBatch[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** `onDrained` is called when a queue that was full has room again. */
  constructor(limit: number, onDrained?: () => void) {
    this.#limit = limit;
    this.#onDrained = onDrained;
  }

  get size(): number {
    return this.#batches.length;
  }

  /** False if the queue is full now; the batch is taken in any case. */
  push(batch: WatchBatch): boolean {
    this.#batches.push(batch);
    this.#notify();
    return this.#batches.length < this.#limit;
  }

  /** What was queued before is still delivered. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  /** The next batch; undefined once the signal aborts. Throws what `fail` was given once everything is read. */
  async take(signal: AbortSignal): Promise<WatchBatch | undefined> {
    while (!signal.aborted) {
      const batch = this.#batches.shift();
      if (batch !== undefined) {
        if (this.#batches.length === this.#limit - 1) this.#onDrained?.();
        return batch;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      await this.#somethingHappened(signal);
    }
    return undefined;
  }

  #notify(): void {
    this.#wake?.();
  }

  #somethingHappened(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
