// The query of a log request and what it selects of a container's lines (pure; Kubernetes' PodLogOptions). A line of a log
// file is `TIME TEXT`, TIME in UTC without zone, fractions as the shim wrote them.

export interface LogOptions {
  readonly container: string | undefined;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number | undefined;
}

export type ParsedLogOptions =
  | { readonly ok: true; readonly options: LogOptions }
  | { readonly ok: false; readonly problem: string };

export function parseLogOptions(query: URLSearchParams, nowMs: number): ParsedLogOptions {
  const problems: string[] = [];
  const whole = (name: string, min: number): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= min) return value;
    problems.push(`${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number, at least ${min}`);
    return undefined;
  };
  const isSet = (name: string): boolean => query.get(name) === 'true' || query.get(name) === '1';
  const tailLines = whole('tailLines', 0);
  const limitBytes = whole('limitBytes', 1);
  const sinceSeconds = whole('sinceSeconds', 1);
  const sinceTime = query.get('sinceTime');
  const sinceTimeMs = sinceTime === null || sinceTime === '' ? undefined : Date.parse(sinceTime);
  if (Number.isNaN(sinceTimeMs)) problems.push('sinceTime: Invalid value: must be a time of RFC 3339');
  if (sinceSeconds !== undefined && sinceTimeMs !== undefined)
    problems.push('at most one of `sinceTime` or `sinceSeconds` may be specified');
  if (problems.length > 0) return { ok: false, problem: problems.join('; ') };
  return {
    ok: true,
    options: {
      container: query.get('container') ?? undefined,
      follow: isSet('follow'),
      previous: isSet('previous'),
      timestamps: isSet('timestamps'),
      tailLines,
      limitBytes,
      sinceMs: sinceSeconds === undefined ? sinceTimeMs : nowMs - sinceSeconds * 1000,
    },
  };
}

/** A line of the file as the user gets it, with its line feed; undefined if it is older than asked for. */
export function selectLine(
  line: string,
  options: Pick<LogOptions, 'sinceMs' | 'timestamps'>,
): string | undefined {
  const space = line.indexOf(' ');
  const stamp = space < 0 ? line : line.slice(0, space);
  const text = space < 0 ? '' : line.slice(space + 1);
  if (options.sinceMs !== undefined && Date.parse(`${stamp}Z`) < options.sinceMs) return undefined;
  return options.timestamps ? `${nanoseconds(stamp)} ${text}\n` : `${text}\n`;
}

/** RFC 3339 with nine digits. */
function nanoseconds(stamp: string): string {
  const [seconds = '', fraction = ''] = stamp.split('.');
  return `${seconds}.${fraction.padEnd(9, '0')}Z`;
}

/** Byte offset at which the last `count` lines of the buffer begin. */
export function tailOffset(content: Buffer, count: number): number {
  if (count === 0) return content.length;
  let found = 0;
  for (let at = content.length - 2; at >= 0; at--) {
    if (content[at] !== 10) continue;
    found += 1;
    if (found === count) return at + 1;
  }
  return 0;
}
