// Tables as kubectl prints them: no borders, headings in upper case, three spaces between columns.

const GAP = 3;

/** One line a row; the last column is not padded. Empty text without rows and headings. */
export function renderTable(
  headings: readonly string[] | undefined,
  rows: readonly (readonly string[])[],
): string {
  const all = headings === undefined ? rows : [headings, ...rows];
  const columns = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...all.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === columns - 1 ? cell : cell.padEnd((widths[column] ?? 0) + GAP)))
      .join('')
      .trimEnd();
  return all.map((row) => `${line(row)}\n`).join('');
}

/** `12 (5%)`, as Calico's `ipam show`. Counts of IPv6 pools are too large for a number. */
export function withShare(count: bigint, total: bigint): string {
  const percent = total === 0n ? 0 : Math.round((Number(count) / Number(total)) * 100);
  return `${formatCount(count)} (${percent}%)`;
}

/** Exact up to five digits, else in the form `1.8447e+19`, as Calico's `%.5g`. */
export function formatCount(count: bigint): string {
  if (count < 100_000n) return count.toString();
  const [mantissa = '', exponent = ''] = Number(count).toExponential(4).split('e');
  const sign = exponent.startsWith('-') ? '-' : '+';
  const trimmed = mantissa.replace(/\.?0+$/, '');
  return `${trimmed}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
}

/** How long ago, as kubectl shows ages; `-` for what is no time. */
export function formatAge(since: string, now: Date): string {
  return formatDuration((now.getTime() - Date.parse(since)) / 1000);
}

/** `90s`, `5m12s`, `47h`, `3d`; `-` for what is no number. */
export function formatDuration(duration: number): string {
  if (!Number.isFinite(duration)) return '-';
  const seconds = Math.max(0, Math.floor(duration));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return `${minutes}m${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 3) return `${minutes}m`;
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}
