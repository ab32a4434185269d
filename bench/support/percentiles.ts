// Percentiles of measured times (nearest rank).

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** `p50 12.3 ms  p99 45.6 ms  max 50.1 ms  (n 100)`. */
export function describeTimes(values: readonly number[]): string {
  const text = (percent: number): string => `${percentile(values, percent).toFixed(1)} ms`;
  return `p50 ${text(50)}  p99 ${text(99)}  max ${text(100)}  (n ${values.length})`;
}
