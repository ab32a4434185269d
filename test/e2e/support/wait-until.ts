// Waiting for a condition that takes a command to ask for.
import { setTimeout as delay } from 'node:timers/promises';

const PAUSE_MS = 200;

/** Asks until `isTrue` answers true, at least once; throws what was awaited after `timeoutMs`. */
export async function waitUntil(
  what: string,
  isTrue: () => Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(PAUSE_MS);
  }
}
