// `calicoctl node status|rules|rib|metrics`: what the nodes themselves say, asked through the controller.

import type { Command } from 'commander';
import { type KubeClient, NODES } from '../../lib/kube-client/client.ts';
import { type NodeStatus, parseNodeStatus } from '../../lib/protocol/node-status.ts';
import { CliError, usageError } from '../cli-error.ts';
import { isHealthy, renderNodeStatuses } from '../output/node-status.ts';
import type { ProgramContext } from '../program-context.ts';
import { examples, reportFailures } from './command-parts.ts';

interface StatusOptions {
  readonly output?: string;
}

const ROOT = '/apis/calico-ts.dev/v1/nodes';
const UNHEALTHY = 1;
const UNKNOWN = 2;

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
      context.connections().withApi(async (client) => context.out(await ask(context, client, name, 'rules'))),
    );
  node
    .command('rib')
    .description("A node's BGP routes as JSON: all paths, the verdict on each, and who was told")
    .argument('<node>')
    .argument('[prefix]', 'one destination, such as 10.65.0.64/26')
    .addHelpText('after', examples('node rib node-1', 'node rib node-1 10.65.0.64/26'))
    .action((name: string, prefix: string | undefined) =>
      context.connections().withApi(async (client) => {
        const query = prefix === undefined ? '' : `?${new URLSearchParams({ prefix }).toString()}`;
        const answer: unknown = JSON.parse(await ask(context, client, name, `rib${query}`));
        context.out(`${JSON.stringify(answer, null, 2)}\n`);
      }),
    );
  node
    .command('metrics')
    .description("A node's metrics, in the form of Prometheus")
    .argument('<node>')
    .action((name: string) =>
      context
        .connections()
        .withApi(async (client) => context.out(await ask(context, client, name, 'metrics'))),
    );
}

function ask(context: ProgramContext, client: KubeClient, name: string, view: string): Promise<string> {
  return client.text(`${ROOT}/${encodeURIComponent(name)}/${view}`, { signal: context.signal });
}

async function status(
  context: ProgramContext,
  client: KubeClient,
  wanted: readonly string[],
  { output }: StatusOptions,
): Promise<void> {
  if (output !== undefined && output !== 'json')
    throw usageError(`unrecognized output format ${output}`, 'use json');
  const names = wanted.length > 0 ? wanted : await nodeNames(context, client);
  const answers = await Promise.allSettled(names.map((name) => statusOf(context, client, name)));
  const statuses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failures = answers.flatMap((answer): unknown[] =>
    answer.status === 'rejected' ? [answer.reason] : [],
  );
  context.out(
    output === 'json'
      ? `${JSON.stringify(statuses, null, 2)}\n`
      : renderNodeStatuses(statuses, context.now()),
  );
  reportFailures(context, failures);
  if (failures.length > 0) context.setExitCode(UNKNOWN);
  else if (!statuses.every(isHealthy)) context.setExitCode(UNHEALTHY);
}

async function nodeNames(context: ProgramContext, client: KubeClient): Promise<string[]> {
  const { items } = await client.list(NODES, undefined, { signal: context.signal });
  return items.map(({ metadata }) => metadata.name).sort();
}

async function statusOf(context: ProgramContext, client: KubeClient, name: string): Promise<NodeStatus> {
  const answer = parseNodeStatus(JSON.parse(await ask(context, client, name, 'status')));
  if (answer !== undefined) return answer;
  throw new CliError(
    { code: 'failed' },
    `the agent of ${name} says its status in a form that is not known here`,
    {
      next: 'use a calicoctl of the version of the agents',
    },
  );
}
