// `calicoctl explain`: why traffic between two ends is allowed or denied, by the policy that is stored now.

import type { Command } from 'commander';
import type { PolicyCluster } from '../../lib/policy/cluster.ts';
import { type Explanation, explain, type RuleFacts } from '../../lib/policy/explanation/explanation.ts';
import { renderExplanation } from '../../lib/policy/explanation/render.ts';
import { type Answer, ask, type Question } from '../../lib/policy/question/ask.ts';
import { parseEnd } from '../../lib/policy/question/ends.ts';
import { QuestionError } from '../../lib/policy/question/question-error.ts';
import { parseTraffic, type Traffic } from '../../lib/policy/question/traffic.ts';
import type { Backend } from '../backend/backend.ts';
import { usageError } from '../cli-error.ts';
import { clusterOf, clusterWarnings, readResources, sourceFinder } from '../cluster/read-cluster.ts';
import { countFacts, recentFlows } from '../cluster/recent-flows.ts';
import { type Format, parseFormat, renderAs } from '../output/format.ts';
import type { ProgramContext } from '../program-context.ts';
import { answersByExitCode, examples } from './command-parts.ts';
import { noteOf } from './record-query.ts';

interface ExplainOptions {
  readonly output: string;
  readonly namespace?: string;
  readonly expect?: string;
  readonly staged?: boolean;
  readonly sourcePort?: string;
  readonly counts?: boolean;
}

const NOT_AS_EXPECTED = 1;

export function addExplainCommand(program: Command, context: ProgramContext): void {
  answersByExitCode(program.command('explain'), context)
    .description('Say why traffic is allowed or denied: both sides, tier by tier, rule by rule')
    .argument(
      '<source>',
      'NAMESPACE/POD, pod/…, workloadendpoint/…, hostendpoint/NAME, node/NAME, IP, external',
    )
    .argument('<destination>', 'the same')
    .argument('<traffic>', 'PORT/PROTOCOL: 5432/tcp, tcp/http (a named port), icmp/8, ping, protocol/47')
    .option('-o, --output <format>', 'tree, json, yaml', 'tree')
    .option('-n, --namespace <namespace>', 'namespace of pods named without one')
    .option(
      '--expect <verdict>',
      'allow or deny: exit code 0 if it is so, 1 if not, 2 if there is no verdict',
    )
    .option('--staged', 'what if the staged policies were enforced')
    .option(
      '--counts',
      'with what the kernels counted of this traffic of late: flow records, through the controller',
    )
    .option('--source-port <port>', 'a source port (default: one that no rule asks for)')
    .addHelpText(
      'after',
      examples(
        'explain shop/web shop/db 5432/tcp',
        'explain external node/node-1 22/tcp --expect allow',
        'explain shop/web 192.0.2.7 443/tcp --staged -o json',
      ),
    )
    .action((source: string, destination: string, traffic: string, options: ExplainOptions) =>
      run(context, { source, destination, traffic }, options),
    );
}

interface Asked {
  readonly source: string;
  readonly destination: string;
  readonly traffic: string;
}

async function run(context: ProgramContext, asked: Asked, options: ExplainOptions): Promise<void> {
  const expected = parseExpectation(options.expect);
  try {
    const format = parseFormat(options.output === 'tree' ? 'table' : options.output);
    const question = { traffic: parseTraffic(asked.traffic), ...sourcePortOf(options) };
    const told = await context
      .connections()
      .withBackend((backend) => askBy(context, backend, asked, question, options));
    const counted = options.counts === true ? await countsOf(context, told.answers) : [];
    const explanations = told.answers.map((answer, index) =>
      explain(told.cluster, told.question, answer, { ...told.facts, ...counted[index] }),
    );
    context.out(render(explanations, format));
    const isAsExpected = explanations.every(({ verdict }) => verdict === (expected ?? verdict));
    if (!isAsExpected) context.setExitCode(NOT_AS_EXPECTED);
  } catch (error) {
    if (error instanceof QuestionError) throw usageError(error.message, error.next);
    throw error;
  }
}

function parseExpectation(text: string | undefined): Explanation['verdict'] | undefined {
  if (text === undefined || text === 'allow' || text === 'deny') return text;
  throw usageError(`--expect ${JSON.stringify(text)} is no verdict`, 'expect allow or deny');
}

function sourcePortOf({ sourcePort }: ExplainOptions): { readonly sourcePort?: number } {
  if (sourcePort === undefined) return {};
  if (/^\d{1,5}$/.test(sourcePort) && Number(sourcePort) <= 65_535) return { sourcePort: Number(sourcePort) };
  throw usageError(`--source-port ${JSON.stringify(sourcePort)} is no port`);
}

interface Told {
  readonly cluster: PolicyCluster;
  readonly question: Question;
  readonly answers: readonly Answer[];
  readonly facts: RuleFacts;
}

async function askBy(
  context: ProgramContext,
  backend: Backend,
  { source, destination }: Asked,
  { traffic, ...rest }: { readonly traffic: Traffic; readonly sourcePort?: number },
  { namespace, staged = false }: ExplainOptions,
): Promise<Told> {
  const [resources, records] = await Promise.all([
    readResources(backend, context.err),
    backend.ruleSources.list(),
  ]);
  const cluster = clusterOf(resources, staged);
  for (const warning of clusterWarnings(cluster)) context.err(`${warning}\n`);
  const question: Question = {
    from: parseEnd(cluster, source, namespace),
    to: parseEnd(cluster, destination, namespace),
    traffic,
    ...rest,
  };
  const answers = ask(cluster, question, { bothSides: true, stagedAsEnforced: staged });
  return { cluster, question, answers, facts: { sourceOf: sourceFinder(resources, records) } };
}

/** For each answer. */
function countsOf(
  context: ProgramContext,
  answers: readonly Answer[],
): Promise<readonly ReturnType<typeof countFacts>[]> {
  return context.connections().withApi(async (client) => {
    const notes = new Set<string>();
    const counted: ReturnType<typeof countFacts>[] = [];
    for (const answer of answers) {
      const { records, missing } = await recentFlows(client, answer, context.signal);
      for (const line of missing) notes.add(noteOf(line, 'flow records'));
      counted.push(countFacts(records));
    }
    for (const note of notes) context.err(note);
    return counted;
  });
}

/** One answer for each family; two that are alike make one tree. */
function render(explanations: readonly Explanation[], format: Format): string {
  return renderAs(format, explanations, () => {
    const [first, second] = explanations;
    if (first === undefined) return '';
    if (second === undefined) return renderExplanation(first);
    const isAlike = first.verdict === second.verdict && first.reason === second.reason;
    if (!isAlike) return [first, second].map(renderExplanation).join('\n');
    return `${renderExplanation(first)}\nover IPv${second.family} the same\n`;
  });
}
