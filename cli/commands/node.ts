// `calicoctl node status|rules|rib|flows|metrics`: what the nodes themselves say, asked through the controller.

import type { Command } from 'commander';
import type { KubeClient } from '../../lib/kube-client/client.ts';
import { parseFlowStatus } from '../../lib/protocol/flow-status.ts';
import { usageError } from '../cli-error.ts';
import { renderFlowStatuses } from '../output/flow-status.ts';
import { FORMAT_OPTION, parseFormat, renderAs } from '../output/format.ts';
import { isHealthy, renderNodeStatuses } from '../output/node-status.ts';
import type { ProgramContext } from '../program-context.ts';
import { examples } from './command-parts.ts';
import { askNode, askNodeFor, askNodes, statusOfNode } from './node-views.ts';

interface StatusOptions {
  readonly output?: string;
}

const UNHEALTHY = 1;

export function addNodeCommands(program: Command, context: ProgramContext): void {
  const node = program
    .command('node')
    .description('Show what nodes do, through the controller of the cluster');
  node
    .command('status')
    .description(
      'Readiness, blocks, routes and BGP peers; exit code 1: something is not well, 2: a node cannot be asked',
    )
    .argument('[nodes...]', 'names of nodes (default: all)')
    .option('-o, --output <format>', 'json')
    .addHelpText('after', examples('node status', 'node status node-1 -o json'))
    .action((names: readonly string[], options: StatusOptions) =>
      context.connections().withApi((client) => status(context, client, names, options)),
    );
  node
    .command('rules')
    .description("A node's nftables table with rule ids, identities and generations resolved")
    .argument('<node>')
    .addHelpText('after', examples('node rules node-1'))
    .action((name: string) =>
      context
        .connections()
        .withApi(async (client) => context.out(await askNode(context, client, name, 'rules'))),
    );
  node
    .command('rib')
    .description("A node's BGP routes as JSON: all paths, the verdict on each, and who was told")
    .argument('<node>')
    .argument('[prefix]', 'one destination, such as 10.65.0.64/26')
    .addHelpText('after', examples('node rib node-1', 'node rib node-1 10.65.0.64/26'))
    .action((name: string, prefix: string | undefined) =>
      context.connections().withApi(async (client) => {
        const query = prefix === undefined ? {} : { prefix };
        const answer: unknown = JSON.parse(await askNode(context, client, name, 'rib', query));
        context.out(`${JSON.stringify(answer, null, 2)}\n`);
      }),
    );
  node
    .command('flows')
    .description('How many flows each node has recorded and lost, and what staged policies would have done')
    .argument('[nodes...]', 'names of nodes (default: all)')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('node flows', 'node flows node-1 -o yaml'))
    .action((names: readonly string[], options: { readonly output: string }) =>
      context.connections().withApi((client) => flowStatuses(context, client, names, options.output)),
    );
  node
    .command('metrics')
    .description("A node's metrics, in the form of Prometheus")
    .argument('<node>')
    .action((name: string) =>
      context
        .connections()
        .withApi(async (client) => context.out(await askNode(context, client, name, 'metrics'))),
    );
}

async function flowStatuses(
  context: ProgramContext,
  client: KubeClient,
  wanted: readonly string[],
  output: string,
): Promise<void> {
  const format = parseFormat(output);
  const asked = await askNodes(context, client, wanted, async (node) => ({
    node,
    ...(await askNodeFor(context, client, node, 'flow-status', {}, parseFlowStatus)),
  }));
  context.out(renderAs(format, asked.answers, () => renderFlowStatuses(asked.answers)));
  asked.report();
}

async function status(
  context: ProgramContext,
  client: KubeClient,
  wanted: readonly string[],
  { output }: StatusOptions,
): Promise<void> {
  if (output !== undefined && output !== 'json')
    throw usageError(`unrecognized output format ${output}`, 'use json');
  const asked = await askNodes(context, client, wanted, (name) => statusOfNode(context, client, name));
  const statuses = asked.answers;
  context.out(
    output === 'json'
      ? `${JSON.stringify(statuses, null, 2)}\n`
      : renderNodeStatuses(statuses, context.now(), asked.silent),
  );
  asked.report();
  if (asked.isComplete && !statuses.every(isHealthy)) context.setExitCode(UNHEALTHY);
}
