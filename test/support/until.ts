// Waits for a condition, with a deadline.
import { waitFor } from '../../lib/lifecycle/backoff.ts';

/** Asks until the condition is true, at least once, with a pause in between. Throws when that takes longer than `timeoutMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 4500,
  pauseMs = 5,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await waitFor(pauseMs);
  }
}
