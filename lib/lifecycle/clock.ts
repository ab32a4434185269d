// Time as an argument, so that what waits and expires can be tested without waiting.

/** Milliseconds that only go forward, and one-shot timers on the same scale. */
export interface Clock {
  /** Milliseconds, monotonic (as performance.now()); no relation to the time of day. */
  now(): number;
  /** Runs `action` once after `delayMs`; the function returned cancels it. */
  schedule(delayMs: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** As systemClock, for what must not keep the process alive by itself. */
export const backgroundClock: Clock = {
  now: systemClock.now,
  schedule: (delayMs, action) => {
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
