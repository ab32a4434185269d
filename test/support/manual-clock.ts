// A clock that moves only when a test says so.
import type { Clock } from '../../lib/lifecycle/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, action: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not run yet. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Moves time, running what falls due in order, also what those actions schedule. */
  advance(milliseconds: number): void {
    const end = this.#nowMs + milliseconds;
    for (let timer = this.#earliest(end); timer !== undefined; timer = this.#earliest(end)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.action();
    }
    this.#nowMs = end;
  }

  #earliest(end: number): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > end) continue;
      const isEarlier =
        earliest === undefined ||
        timer.dueMs < earliest.dueMs ||
        (timer.dueMs === earliest.dueMs && timer.order < earliest.order);
      if (isEarlier) earliest = timer;
    }
    return earliest;
  }
}
