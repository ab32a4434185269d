// Ages as kubectl prints them (k8s.io/apimachinery duration.HumanDuration): two units while that is short.

/** `seconds` may be negative for a clock that is ahead; printed as `0s` to one second, then `<invalid>`. */
export function formatAge(seconds: number): string {
  if (seconds < -1) return '<invalid>';
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return `${s}s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 10) return pair(minutes, 'm', s % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 365 * 2) return `${days}d`;
  const years = Math.floor(days / 365);
  if (years < 8) return pair(years, 'y', days % 365, 'd');
  return `${years}y`;
}

function pair(major: number, majorUnit: string, minor: number, minorUnit: string): string {
  return minor === 0 ? `${major}${majorUnit}` : `${major}${majorUnit}${minor}${minorUnit}`;
}

/** Age of an RFC 3339 time; `<unknown>` without one. */
export function formatTimeAge(time: string | null | undefined, now: Date): string {
  const then = time === null || time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(then) ? '<unknown>' : formatAge((now.getTime() - then) / 1000);
}
