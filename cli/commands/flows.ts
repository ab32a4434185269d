// `calicoctl flows`: what policy denied, or let begin, on all hosts, and which rule decided, asked of the controller.

import type { Command } from 'commander';
import { stringify } from 'yaml';
import { readFlowFilter } from '../../lib/protocol/flow-filter.ts';
import type { FlowRecord } from '../../lib/protocol/flow-record.ts';
import { FLOW_RECORDS, parseRecordLine, type RecordLine } from '../../lib/protocol/record-lines.ts';
import { flowRow, flowTable } from '../output/flow-table.ts';
import { FORMAT_OPTION, type Format, parseFormat } from '../output/format.ts';
import type { LiveTable } from '../output/live-table.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, examples } from './command-parts.ts';
import { noteOf, type RecordFilter, recordQuery } from './record-query.ts';

interface FlowsOptions {
  readonly watch?: boolean;
  readonly follow?: boolean;
  readonly since?: string;
  readonly last: string;
  readonly output: string;
  readonly node?: readonly string[];
  readonly namespace?: readonly string[];
  readonly pod?: readonly string[];
  readonly src?: readonly string[];
  readonly dst?: readonly string[];
  readonly policy?: readonly string[];
  readonly port?: readonly string[];
  readonly verdict?: string;
  readonly stagedDiffers?: boolean;
}

const PATH = '/apis/calico-ts.dev/v1/flows';

export function addFlowsCommand(program: Command, context: ProgramContext): void {
  program
    .command('flows')
    .description('Show what policy denied on all hosts, and which policy and rule decided')
    .option('-w, --watch', 'go on with what happens')
    .option('-f, --follow', 'the same')
    .option('--since <time>', 'later ones only: 10s, 5m, 2h, 1d, or a time as in RFC 3339')
    .option('--last <n>', 'so many of the latest, where no --since is given', '1000')
    .option('--node <name>', 'told by this node only; may be repeated, as all filters', collect)
    .option('-n, --namespace <name>', 'with an end in this namespace', collect)
    .option('--pod <pod>', 'with this end: NAME, NAMESPACE/NAME, address or network', collect)
    .option('--src <pod>', 'from this end', collect)
    .option('--dst <pod>', 'to this end', collect)
    .option('--port <number>', 'to this port', collect)
    .option('--policy <name>', 'decided by this policy: NAME or NAMESPACE/NAME', collect)
    .option('--verdict <verdict>', 'allow or deny')
    .option('--staged-differs', 'only where staged policies would give another verdict')
    .option(...FORMAT_OPTION)
    .addHelpText(
      'after',
      examples(
        'flows --since 5m --pod shop/web',
        'flows -w --verdict deny -n shop',
        'flows --staged-differs -o wide',
      ),
    )
    .action((options: FlowsOptions) => showFlows(context, options));
}

async function showFlows(context: ProgramContext, options: FlowsOptions): Promise<void> {
  const format = parseFormat(options.output);
  const isLive = options.watch === true || options.follow === true;
  const parameters = recordQuery({ ...options, follow: isLive }, filterOf(options), context.now());
  const isWide = format === 'wide';
  const table = format === 'table' || isWide ? flowTable(isWide, isLive) : undefined;
  await context.connections().withApi(async (client) => {
    try {
      for await (const value of client.stream(`${PATH}?${parameters}`, { signal: context.signal })) {
        const line = parseRecordLine(FLOW_RECORDS, value);
        if (line !== undefined) show(context, line, format, table);
      }
    } catch (error) {
      if (table?.isEmpty === false) context.out(table.end());
      throw error;
    }
    context.out(table?.end() ?? '');
  });
}

function show(
  context: ProgramContext,
  line: RecordLine<FlowRecord>,
  format: Format,
  table: LiveTable | undefined,
): void {
  if (!('record' in line)) context.err(noteOf(line, 'flow records'));
  else if (table !== undefined) context.out(table.line(flowRow(line.record, format === 'wide')));
  else if (format === 'yaml') context.out(`---\n${stringify(line.record, { lineWidth: 0 })}`);
  else context.out(`${JSON.stringify(line.record)}\n`);
}

function filterOf(options: FlowsOptions): RecordFilter {
  const { node, namespace, pod, src, dst, policy, port, verdict, stagedDiffers } = options;
  const lists = {
    ...{ node, namespace, pod, src, dst, policy, port },
    verdict: verdict === undefined ? [] : [verdict],
    staged: stagedDiffers === true ? ['differs'] : [],
  };
  return { command: 'flows', lists, read: readFlowFilter };
}
