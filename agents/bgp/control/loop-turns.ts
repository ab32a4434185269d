// How long the event loop's turns are: whoever waits for bgpd waits for the longest one.

import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How often the event loop is looked at: a turn is known to within this, in milliseconds. */
const RESOLUTION_MS = 5;

/** For one reader: each look begins anew, as a maximum for all time would tell of the start and nothing after it. */
export class LoopTurns {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** The longest turn since the last call, in milliseconds. */
  takeLongestMs(): number {
    // The time between two looks; none yet is 0.
    const longestMs = this.#delay.max / 1e6;
    this.#delay.reset();
    return Math.max(0, Math.round(longestMs * 10) / 10 - RESOLUTION_MS);
  }
}
