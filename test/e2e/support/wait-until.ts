// Waiting for a condition that takes a command to ask for.
import { until } from '../../support/until.ts';

const PAUSE_MS = 200;

/** Throws what was awaited after `timeoutMs`. */
export function waitUntil(what: string, isTrue: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  return until(what, isTrue, timeoutMs, PAUSE_MS);
}
