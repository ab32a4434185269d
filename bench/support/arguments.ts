// Command lines of benchmarks.

import { wrongUsage } from '../../lib/config/usage.ts';

/** A whole number, `1e5` too. */
export function numberOf(name: string, value: string, usage: string): number {
  const number = Number(value);
  const isWhole = Number.isSafeInteger(number) && number >= 0;
  return isWhole ? number : wrongUsage(`--${name} ${value}: not a whole number`, usage);
}
