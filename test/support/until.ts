// Waits for a condition, with a deadline.
import { waitFor } from '../../lib/lifecycle/backoff.ts';

/** Throws when the condition has not come true within `timeoutMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 4500,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await waitFor(5);
  }
}
