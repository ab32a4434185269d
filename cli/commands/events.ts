// `calicoctl events`: the causes and effects of changes on all hosts in one order, asked of the controller.

import type { Command } from 'commander';
import { type CalicoEvent, EVENT_KINDS } from '../../lib/events/event.ts';
import { eventMatcher, readEventFilter } from '../../lib/protocol/event-filter.ts';
import { EVENT_RECORDS, parseRecordLine } from '../../lib/protocol/record-lines.ts';
import { usageError } from '../cli-error.ts';
import { eventRow, eventTable } from '../output/event-table.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, examples } from './command-parts.ts';
import { noteOf, recordQuery } from './record-query.ts';

interface EventsOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly last?: string;
  readonly output?: string;
  readonly host?: readonly string[];
  readonly kind?: readonly string[];
}

const PATH = '/apis/calico-ts.dev/v1/events';

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
    .addHelpText('after', `\nKinds:\n${kindLines().join('\n')}`)
    .addHelpText(
      'after',
      examples('events --since 5m', 'events -f --kind cniAdd --kind bgpUpdateSent', 'events -o json'),
    )
    .action((options: EventsOptions) => events(context, options));
}

async function events(context: ProgramContext, options: EventsOptions): Promise<void> {
  if (options.output !== undefined && options.output !== 'json')
    throw usageError(`unrecognized output format ${options.output}`, 'use json');
  const { host, kind } = options;
  const filter = { command: 'events', lists: { host, kind }, read: readEventFilter };
  const query = recordQuery(options, filter, context.now());
  // A controller that is older than its filters tells of everything.
  const isWanted = eventMatcher(readEventFilter(query)) ?? (() => true);
  const table = options.output === 'json' ? undefined : eventTable(options.follow === true);
  const show = (event: CalicoEvent): void =>
    context.out(table === undefined ? `${JSON.stringify(event)}\n` : table.line(eventRow(event)));
  await context.connections().withApi(async (client) => {
    try {
      for await (const value of client.stream(`${PATH}?${query}`, { signal: context.signal })) {
        const line = parseRecordLine(EVENT_RECORDS, value);
        if (line === undefined) continue;
        if (!('record' in line)) context.err(noteOf(line, 'events'));
        else if (isWanted(line.record)) show(line.record);
      }
    } catch (error) {
      if (table?.isEmpty === false) context.out(table.end());
      throw error;
    }
    context.out(table?.end() ?? '');
  });
}

function kindLines(): string[] {
  return Object.entries(EVENT_KINDS).map(([component, kinds]) => `  ${component}: ${kinds.join(', ')}`);
}
