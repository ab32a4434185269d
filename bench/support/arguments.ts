// Command lines of benchmarks.

import { UsageExit } from '../../lib/config/usage.ts';

/** A whole number, `1e5` too. Throws UsageExit. */
export function numberOf(name: string, value: string, usage: string): number {
  const number = Number(value);
  const isWhole = Number.isSafeInteger(number) && number >= 0;
  if (!isWhole) throw new UsageExit(usage, `--${name} ${value}: not a whole number`);
  return number;
}
