// What commands ask of nodes' agents, through the controller: one node, or all of them at once.

import { type KubeClient, KubeError, NODES } from '../../lib/kube-client/client.ts';
import type { NodeStatus } from '../../lib/protocol/node-status.ts';
import { parseNodeStatus } from '../../lib/protocol/node-status.ts';
import { CliError } from '../cli-error.ts';
import type { ProgramContext } from '../program-context.ts';
import { reportFailures } from './command-parts.ts';

const ROOT = '/apis/calico-ts.dev/v1/nodes';
/** Longer than the controller waits for an agent: it says what is wrong with the node, and we are not to give up before. */
const ANSWER_MS = 20_000;
/** Exit code: a node cannot be asked. */
const UNKNOWN = 2;

/** The node API's answer as it is. */
export function askNode(
  context: ProgramContext,
  client: KubeClient,
  node: string,
  view: string,
  query: Readonly<Record<string, string>> = {},
): Promise<string> {
  return client.text(`${ROOT}/${encodeURIComponent(node)}/${view}`, {
    query,
    signal: context.signal,
    timeoutMs: ANSWER_MS,
  });
}

/** The answer as a value. Throws CliError for what an agent of another version says. */
export async function askNodeFor<T>(
  context: ProgramContext,
  client: KubeClient,
  node: string,
  view: string,
  query: Readonly<Record<string, string>>,
  parse: (value: unknown) => T | undefined,
): Promise<T> {
  const answer = parse(JSON.parse(await askNode(context, client, node, view, query)));
  if (answer !== undefined) return answer;
  throw new CliError({ code: 'failed' }, `the agent of ${node} answers in a form that is not known here`, {
    next: 'use a calicoctl of the version of the agents',
  });
}

export function statusOfNode(context: ProgramContext, client: KubeClient, node: string): Promise<NodeStatus> {
  return askNodeFor(context, client, node, 'status', {}, parseNodeStatus);
}

export interface AskedNodes<T> {
  readonly answers: readonly T[];
  /** Names of the nodes that cannot be asked. */
  readonly silent: readonly string[];
  /** Says why of each of them, and what to do; exit code 2. */
  readonly report: () => void;
  readonly isComplete: boolean;
}

/** Answers of the nodes named, or of all. Where none of them can be asked there is nothing to show: throws CliError, exit code 2. */
export async function askNodes<T>(
  context: ProgramContext,
  client: KubeClient,
  wanted: readonly string[],
  ask: (node: string) => Promise<T>,
): Promise<AskedNodes<T>> {
  const names = wanted.length > 0 ? wanted : await nodeNames(context, client);
  const settled = await Promise.allSettled(names.map(ask));
  const answers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const silent = names.filter((_, index) => settled[index]?.status === 'rejected');
  const failures = settled.flatMap((one) =>
    one.status === 'rejected' ? [withNextStep(one.reason as Error)] : [],
  );
  const [last] = failures.slice(-1);
  if (answers.length === 0 && last !== undefined) {
    context.setFailureCode(UNKNOWN);
    reportFailures(context, failures.slice(0, -1));
    throw last;
  }
  const report = (): void => {
    reportFailures(context, failures);
    if (failures.length > 0) context.setExitCode(UNKNOWN);
  };
  return { answers, silent, report, isComplete: failures.length === 0 };
}

/** What the API says of a node, with what to do about it; any other error as it is. */
function withNextStep(error: Error): Error {
  if (!(error instanceof KubeError) || error.type.code !== 'status') return error;
  const { status, details } = error.type;
  if (details?.kind !== 'nodes') return error;
  const next =
    status === 404
      ? '"calicoctl get nodes" lists those there are'
      : `on ${details.name}: does calico-node run there, and what does its log say?`;
  return new CliError({ code: 'failed' }, error.message, { next, cause: error });
}

async function nodeNames(context: ProgramContext, client: KubeClient): Promise<string[]> {
  const { items } = await client.list(NODES, undefined, { signal: context.signal });
  return items.map(({ metadata }) => metadata.name).sort();
}
