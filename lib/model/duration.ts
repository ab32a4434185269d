// Go durations (`1m30s`) and RFC 3339 times, the two scalars of time in stored objects.

const NANOSECONDS_BY_UNIT: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const MAX_NANOSECONDS = 2n ** 63n - 1n;

/** Nanoseconds of a Go duration as time.ParseDuration reads it, or undefined. `0` needs no unit, everything else does. */
export function parseDurationNanoseconds(text: string): bigint | undefined {
  const signed = /^([+-]?)(.*)$/s.exec(text);
  const digits = signed?.[2] ?? '';
  if (digits === '0') return 0n;
  if (!/^((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(digits)) return undefined;
  let total = 0n;
  for (const [, whole = '', , fraction = '', unit = ''] of digits.matchAll(
    /(\d*)(\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g,
  )) {
    const scale = NANOSECONDS_BY_UNIT[unit] ?? 0n;
    const fractionDigits = fraction.slice(0, 18);
    total += BigInt(whole === '' ? '0' : whole) * scale;
    if (fractionDigits !== '')
      total += (BigInt(fractionDigits) * scale) / 10n ** BigInt(fractionDigits.length);
  }
  if (total > MAX_NANOSECONDS) return undefined;
  return signed?.[1] === '-' ? -total : total;
}

/** Milliseconds of a Go duration, fractions included, or undefined if the text is none. */
export function parseDurationMs(text: string): number | undefined {
  const nanoseconds = parseDurationNanoseconds(text);
  if (nanoseconds === undefined) return undefined;
  return Number(nanoseconds / 1_000_000n) + Number(nanoseconds % 1_000_000n) / 1e6;
}

/** As Go prints a duration: `1h2m3.5s`, `1m0s`, `1.5ms`, `0s`. Milliseconds in, rounded to nanoseconds. */
export function formatDurationMs(durationMs: number): string {
  const wholeMs = Math.trunc(durationMs);
  const nanoseconds = BigInt(wholeMs) * 1_000_000n + BigInt(Math.round((durationMs - wholeMs) * 1e6));
  const sign = nanoseconds < 0n ? '-' : '';
  const total = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  if (total === 0n) return '0s';
  if (total < 1_000_000_000n) return sign + formatBelowSecond(total);
  const hours = total / 3_600_000_000_000n;
  const minutes = (total / 60_000_000_000n) % 60n;
  const seconds = `${decimal(total % 60_000_000_000n, 9)}s`;
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}`;
  return minutes > 0n ? `${sign}${minutes}m${seconds}` : sign + seconds;
}

function formatBelowSecond(nanoseconds: bigint): string {
  if (nanoseconds < 1_000n) return `${nanoseconds}ns`;
  return nanoseconds < 1_000_000n ? `${decimal(nanoseconds, 3)}µs` : `${decimal(nanoseconds, 6)}ms`;
}

/** `value` / 10^places without trailing zeros. */
function decimal(value: bigint, places: number): string {
  const scale = 10n ** BigInt(places);
  const fraction = (value % scale).toString().padStart(places, '0').replace(/0+$/, '');
  return fraction === '' ? `${value / scale}` : `${value / scale}.${fraction}`;
}

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** Milliseconds since 1970, or undefined if the text is no RFC 3339 time. */
export function parseRfc3339Ms(text: string): number | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [, , month = '', day = '', hour = '', minute = '', second = ''] = match;
  // Date accepts 24:00 and the 31st of every month.
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) return undefined;
  const daysInMonth = new Date(Date.UTC(Number(match[1]), Number(month), 0)).getUTCDate();
  return Number(day) >= 1 && Number(day) <= daysInMonth ? time : undefined;
}

/** Whole seconds in UTC with `Z`, as metadata's timestamps are stored. */
export function formatRfc3339Seconds(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}

/** With microseconds, as leases' times are stored. */
export function formatRfc3339Micros(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('Z', '000Z');
}
