// The reconcile loop of a controller (controller-runtime's contract): requests are keys alone, so bursts collapse; a failed
// key comes back after a growing pause; nothing runs twice at a time for one key.

import { Backoff } from '../lib/lifecycle/backoff.ts';
import type { Logger } from '../lib/logging/logger.ts';

export interface KeyQueueOptions {
  /** Reads the world, compares, acts. Throws to be tried again. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
  readonly maxDelayMs?: number;
}

export class KeyQueue {
  readonly #options: KeyQueueOptions;
  readonly #pending = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #stopping = new AbortController();
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: KeyQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pending.size;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#wake?.();
    await this.#running;
  }

  add(key: string): void {
    this.#pending.add(key);
    this.#wake?.();
  }

  addAfter(key: string, delayMs: number): void {
    clearTimeout(this.#timers.get(key));
    const fire = (): void => {
      this.#timers.delete(key);
      this.add(key);
    };
    if (!this.#stopping.signal.aborted) this.#timers.set(key, setTimeout(fire, delayMs));
  }

  async #run(): Promise<void> {
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const key = this.#pending.values().next().value;
      if (key === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#pending.delete(key);
      await this.#attempt(key, signal);
    }
  }

  async #attempt(key: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.reconcile(key, signal);
      this.#backoffs.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      this.#options.logger.warn('reconciling failed', { key, error });
      const backoff =
        this.#backoffs.get(key) ?? new Backoff({ minMs: 100, maxMs: this.#options.maxDelayMs ?? 30_000 });
      this.#backoffs.set(key, backoff);
      this.addAfter(key, backoff.next());
    }
  }
}
