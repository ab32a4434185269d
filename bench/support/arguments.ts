// Command lines of benchmarks.

/** A whole number, `1e5` too. */
export function numberOf(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name} ${value}: not a whole number`);
  return number;
}
