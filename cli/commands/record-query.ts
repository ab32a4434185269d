// What commands that show the cluster's events or flow records have in common: how many, since when, and notes on what is missing.

import type { RecordLine } from '../../lib/protocol/record-lines.ts';
import { usageError } from '../cli-error.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

export interface RecordQueryOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly last?: string;
}

export interface RecordFilter {
  readonly command: string;
  /** By the name of a parameter, the values it may have. */
  readonly lists: Readonly<Record<string, readonly string[] | undefined>>;
  /** As the controller reads it too. Throws an Error that says what is wrong. */
  readonly read: (parameters: URLSearchParams) => unknown;
}

/** Query parameters. Throws CliError. */
export function recordQuery(
  { last = '', follow, since }: RecordQueryOptions,
  { command, lists, read }: RecordFilter,
  now: Date,
): URLSearchParams {
  if (!/^[1-9]\d{0,5}$/.test(last)) throw usageError(`--last ${last} is no count`);
  const parameters = new URLSearchParams({ last });
  if (follow === true) parameters.set('follow', 'true');
  if (since !== undefined) parameters.set('after', parseSince(since, now).toISOString());
  for (const [name, values = []] of Object.entries(lists))
    for (const value of values) parameters.append(name, value);
  try {
    read(parameters);
  } catch (error) {
    throw usageError((error as Error).message, `see "calicoctl ${command} --help"`);
  }
  return parameters;
}

/** `5m`, or a time as in RFC 3339. Throws CliError. */
export function parseSince(text: string, now: Date): Date {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(now.getTime() - Number(count) * (UNITS[unit] ?? 0) * 1000);
  const time = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}T/.test(text) || Number.isNaN(time.getTime()))
    throw usageError(`--since ${text} is no time`, 'use 10s, 5m, 2h, 1d, or 2026-01-31T12:00:00Z');
  return time;
}

/** What is missing, and where the records come from if not from the stream: for standard error. */
export function noteOf<T>(line: Exclude<RecordLine<T>, { readonly record: T }>, what: string): string {
  if ('gap' in line) {
    const { host, count, reason } = line.gap;
    const lost = count === undefined ? [] : [`${count} ${what} were overwritten before they could be told`];
    return `# ${host}: ${[...lost, ...(reason === undefined ? [] : [reason])].join('; ')}\n`;
  }
  return line.source === 'redis' ? '' : `# asked of each host, as ${line.reason ?? 'there is no stream'}\n`;
}
