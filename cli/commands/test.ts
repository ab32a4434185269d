// `calicoctl test`: tests of policy on the evaluator; nothing is needed but the files, or with --live a cluster to read.

import { performance } from 'node:perf_hooks';
import type { Command } from 'commander';
import { CALICO_API_VERSION } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type RuleRef, ruleOwnerKey } from '../../lib/policy/compiled.ts';
import { QuestionError } from '../../lib/policy/question/question-error.ts';
import type { RulePlace } from '../../lib/policy/rule-source.ts';
import { type FileResults, type ReportFormat, renderReport } from '../../lib/policy/test-file/report.ts';
import { testResources } from '../../lib/policy/test-file/resources.ts';
import { runTests } from '../../lib/policy/test-file/run.ts';
import { TEST_KIND } from '../../lib/policy/test-file/schema.ts';
import { usageError } from '../cli-error.ts';
import { clusterOf, clusterWarnings, readResources } from '../cluster/read-cluster.ts';
import { type GivenObject, type PolicyTest, readPolicyTests } from '../manifest/policy-tests.ts';
import type { ProgramContext } from '../program-context.ts';
import { answersByExitCode, examples } from './command-parts.ts';

interface TestOptions {
  readonly live?: boolean;
  readonly format: string;
}

const FORMATS: readonly string[] = ['text', 'tap', 'junit'];
const FAILED = 1;
const NOT_RUN = 2;

export function addTestCommand(program: Command, context: ProgramContext): void {
  answersByExitCode(program.command('test'), context)
    .description(
      'Run tests of policy: cases, matrices, and searches for what must never be, without a packet sent',
    )
    .argument('<files...>', `files or folders of kind ${TEST_KIND}; - for stdin`)
    .option('--live', 'with what is stored in the cluster, and the files on top of it')
    .option('--format <format>', FORMATS.join(', '), 'text')
    .addHelpText(
      'after',
      '\nExit code: 0 all passed, 1 some failed, 2 some could not be run (the others were).\n',
    )
    .addHelpText('after', examples('test shop.test.yaml', 'test tests/ --live --format junit > report.xml'))
    .action((files: readonly string[], options: TestOptions) => test(context, files, options));
}

async function test(context: ProgramContext, names: readonly string[], options: TestOptions): Promise<void> {
  if (!FORMATS.includes(options.format))
    throw usageError(`unknown format ${JSON.stringify(options.format)}`, `use ${FORMATS.join(', ')}`);
  const live =
    options.live === true
      ? await context.connections().withBackend((backend) => readResources(backend, context.err))
      : [];
  const tests = await readPolicyTests(names, context);
  const files = tests.map((each) => runFile(context, each, live));
  context.out(renderReport(options.format as ReportFormat, files));
  const results = files.flatMap((each) => each.results);
  if (results.some(({ ok }) => !ok)) context.setExitCode(FAILED);
  if (results.some(({ unaskable }) => unaskable === true)) context.setExitCode(NOT_RUN);
}

function runFile(context: ProgramContext, test: PolicyTest, live: readonly Resource[]): FileResults {
  const start = performance.now();
  const { source, file, given, placeOf } = test;
  const { resources, notes } = convert(test, live);
  for (const note of notes) context.err(`${source}: ${note}\n`);
  const cluster = clusterOf(resources, file.staged ?? false);
  for (const warning of clusterWarnings(cluster)) context.err(`${source}: ${warning}\n`);
  const results = runTests(file, cluster, { sourceOf: sourceFinder(given) });
  return {
    file: file.metadata?.name ?? source,
    results: results.map((result) => ({ ...result, place: placeText(placeOf(result.path)) })),
    durationMs: performance.now() - start,
  };
}

function placeText({ file, line }: RulePlace): string {
  return `${file}:${line}`;
}

function convert(
  { source, file, given }: PolicyTest,
  live: readonly Resource[],
): ReturnType<typeof testResources> {
  try {
    return testResources(
      file.cluster ?? {},
      given.map(({ resource }) => resource),
      live,
    );
  } catch (error) {
    if (error instanceof QuestionError) throw usageError(`${source}: ${error.message}`, error.next);
    throw error;
  }
}

/** Rules of Kubernetes' policies are converted and have other numbers: those have no line. */
function sourceFinder(given: readonly GivenObject[]): (ref: RuleRef) => RulePlace | undefined {
  const own = given.filter(({ resource }) => resource.apiVersion === CALICO_API_VERSION);
  const byKey = new Map(
    own.map(({ resource: { kind, metadata }, placeOf }) => {
      const { namespace = '', name } = metadata;
      return [`${kind}/${namespace}/${name}`, placeOf];
    }),
  );
  return (ref) => {
    return byKey.get(ruleOwnerKey(ref))?.(`spec.${ref.direction}[${ref.index}]`);
  };
}
