// `calicoctl events`: the causes and effects of changes on all hosts in one order, asked of the controller.

import type { Command } from 'commander';
import type { CalicoEvent } from '../../lib/events/event.ts';
import { type EventLine, parseEventLine } from '../../lib/protocol/event-lines.ts';
import { usageError } from '../cli-error.ts';
import { EventTable } from '../output/event-table.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, examples } from './command-parts.ts';

interface EventsOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly last?: string;
  readonly output?: string;
  readonly host?: readonly string[];
  readonly kind?: readonly string[];
}

const PATH = '/apis/calico-ts.dev/v1/events';
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

export function addEventsCommand(program: Command, context: ProgramContext): void {
  program
    .command('events')
    .description(
      'Show the events of all hosts in one order: etcd revision, computed change, kernel, BGP, pods',
    )
    .option('-f, --follow', 'go on with what happens')
    .option('--since <time>', 'later ones only: 10s, 5m, 2h, 1d, or a time as in RFC 3339')
    .option('--last <n>', 'so many of the latest, where no --since is given', '1000')
    .option('--host <name>', 'of this host only; may be repeated', collect)
    .option('--kind <kind>', 'of this kind only, such as cniAdd; may be repeated', collect)
    .option('-o, --output <format>', 'json: an object a line')
    .addHelpText(
      'after',
      examples('events --since 5m', 'events -f --kind cniAdd --kind bgpUpdateSent', 'events -o json'),
    )
    .action((options: EventsOptions) => events(context, options));
}

async function events(context: ProgramContext, options: EventsOptions): Promise<void> {
  if (options.output !== undefined && options.output !== 'json')
    throw usageError(`unrecognized output format ${options.output}`, 'use json');
  const query = queryOf(options, context.now());
  const table = options.output === 'json' ? undefined : new EventTable(options.follow === true);
  const show = (event: CalicoEvent): void =>
    context.out(table === undefined ? `${JSON.stringify(event)}\n` : table.line(event));
  await context.connections().withApi(async (client) => {
    try {
      for await (const value of client.stream(PATH, { query, signal: context.signal })) {
        const line = parseEventLine(value);
        if (line === undefined) continue;
        if (!('event' in line)) context.err(noteOf(line));
        else if (isWanted(line.event, options)) show(line.event);
      }
    } catch (error) {
      if (table?.isEmpty === false) context.out(table.end());
      throw error;
    }
    context.out(table?.end() ?? '');
  });
}

function queryOf(options: EventsOptions, now: Date): Record<string, string> {
  const last = options.last ?? '';
  if (!/^[1-9]\d{0,5}$/.test(last)) throw usageError(`--last ${last} is no count`);
  return {
    last,
    ...(options.follow === true ? { follow: 'true' } : {}),
    ...(options.since === undefined ? {} : { after: parseSince(options.since, now).toISOString() }),
  };
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

function isWanted({ host, kind }: CalicoEvent, options: EventsOptions): boolean {
  return (options.host?.includes(host) ?? true) && (options.kind?.includes(kind) ?? true);
}

/** What is missing, and where the events come from if not from the stream: to standard error. */
function noteOf(line: Exclude<EventLine, { event: unknown }>): string {
  if ('gap' in line) {
    const { host, count, reason } = line.gap;
    const lost = count === undefined ? [] : [`${count} events were overwritten before they could be told`];
    return `# ${host}: ${[...lost, ...(reason === undefined ? [] : [reason])].join('; ')}\n`;
  }
  return line.source === 'redis' ? '' : `# asked of each host, as ${line.reason ?? 'there is no stream'}\n`;
}
