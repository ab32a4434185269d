// Waits for a condition with a deadline: what tests do instead of sleeping.

import { setTimeout as delay } from 'node:timers/promises';

/** The first value that is not undefined or false. Fails with what was seen last. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 15_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${deadlineMs} ms in vain: ${what}`, { cause: lastError });
    }
    await delay(25);
  }
}
