// The timers of one connection's state machine (RFC 4271 §8.1.3, §10).

import type { Timer } from '../fsm/fsm.ts';

export interface SessionTimersOptions {
  readonly onExpiry: (timer: Timer) => void;
  /** Whether something that has come from the peer waits for its turn here. */
  readonly isInputWaiting: () => boolean;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
}

export class SessionTimers {
  readonly #options: SessionTimersOptions;
  readonly #running = new Map<Timer, NodeJS.Timeout>();
  #lateMs = 0;

  constructor(options: SessionTimersOptions) {
    this.#options = options;
  }

  /** How late the hold timer was when it fired last, in milliseconds: our own loop was behind by that much. */
  get lateMs(): number {
    return this.#lateMs;
  }

  start(timer: Timer, seconds: number): void {
    this.stop(timer);
    const started = performance.now();
    const fire = (): void => {
      if (timer === 'hold') this.#lateMs = performance.now() - started - seconds * 1000;
      this.#running.delete(timer);
      this.#options.onExpiry(timer);
    };
    const run = (): void => {
      if (timer !== 'hold') {
        fire();
        return;
      }
      // If the loop was behind, what has arrived meanwhile is read first: the peer's KEEPALIVE may be there and starts the
      // timer anew. Octets that make no message do not: a peer could drip them for ever.
      let mayBeMore = true;
      const check = (): void => {
        const isWaiting = this.#options.isInputWaiting();
        if (!isWaiting && !mayBeMore) {
          fire();
          return;
        }
        mayBeMore = isWaiting;
        this.#running.set(timer, setTimeout(check, 0));
      };
      check();
    };
    this.#running.set(timer, setTimeout(run, seconds * 1000 * this.#jitter(timer)));
  }

  stop(timer: Timer): void {
    clearTimeout(this.#running.get(timer));
    this.#running.delete(timer);
  }

  stopAll(): void {
    for (const timer of this.#running.keys()) this.stop(timer);
  }

  /** RFC 4271 §10: 0.75 to 1 of the time, but not for the hold time. */
  #jitter(timer: Timer): number {
    return timer === 'hold' ? 1 : 0.75 + 0.25 * this.#options.random();
  }
}
