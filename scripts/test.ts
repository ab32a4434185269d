// `npm test`: installs what is missing, runs every suite, prints a table of times and results. A suite that cannot run
// fails, unless it was named in --without. See suites.ts for the suites, places.ts for where they run, and CONTRIBUTING.md
// for how to run one test.

import { accessSync, constants, globSync, mkdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { canHaveNamespaces, insideArgv } from '../lab/inside.ts';
import { LabError } from '../lab/lab-error.ts';
import { run } from '../lib/process/run.ts';
import { BuildError, buildIfChanged } from './build.ts';
import { InstallError } from './debian/install.ts';
import { answeringEngine, ensureEngine, stopOwnEngine } from './engine.ts';
import { runInherited } from './inside.ts';
import { canHavePackages, ensurePackages } from './packages.ts';
import { type Machine, placeOf } from './places.ts';
import { step } from './progress.ts';
import { formatOutcomes, HARD_LIMIT, type Outcome, planTests, type Suite, type TestPlan } from './suites.ts';
import { buildTestImage, runInTestImage } from './test-image.ts';

const ROOT = join(import.meta.dirname, '..');
const INSTALL_BUDGET_SECONDS = 150;
const MAX_WORKERS = 4;
const CHECK_TIMEOUT_MS = 180_000;
const CODE_FOLDERS = ['lib', 'agents', 'controller', 'cli', 'lab', 'scripts', 'bench', 'examples', 'test'];

/** Each fails by its exit code; its output is shown then. */
const CHECKS: readonly { readonly what: string; readonly argv: readonly [string, ...string[]] }[] = [
  { what: 'format and lint (biome)', argv: ['biome', 'check', '.'] },
  {
    what: 'floating promises and exhaustive switches (oxlint)',
    argv: ['oxlint', '--type-aware', ...CODE_FOLDERS],
  },
  { what: 'types (tsc)', argv: ['tsc', '-p', 'tsconfig.json'] },
  {
    what: 'who imports whom (dependency-cruiser)',
    argv: ['depcruise', 'lib', 'agents', 'controller', 'cli', 'lab', 'bench'],
  },
  { what: 'dead code (knip)', argv: ['knip'] },
];

/** Whether this run started the Docker engine and has to stop it again. */
const ownEngine = { isRunning: false };

const testImage = { isBuilt: false };

/** Where a suite runs, and with which environment. */
interface Prepared {
  readonly env: NodeJS.ProcessEnv;
  readonly isInTestImage: boolean;
}

type SuiteResult = Outcome['result'];

async function main(args: readonly string[]): Promise<number> {
  const planned = planTests(args);
  if (!planned.ok) {
    console.error(planned.reason);
    return 2;
  }
  const { plan } = planned;
  const outcomes: Outcome[] = [];
  const timed = async (name: string, budgetSeconds: number, work: () => Promise<SuiteResult>) => {
    const startedAt = performance.now();
    const result = await work();
    outcomes.push({ name, result, budgetSeconds, seconds: (performance.now() - startedAt) / 1000 });
  };
  const suites = plan.suites.map((suite) => ({ suite, isEmpty: testFilesOf(suite) === 0 }));
  const bySuite = new Map<Suite, Prepared>();
  await timed('install', INSTALL_BUDGET_SECONDS, async () => {
    let result: SuiteResult = 'passed';
    const machine = await lookAtMachine(plan);
    for (const { suite, isEmpty } of suites) {
      if (isEmpty) continue;
      const prepared = await reported(`${suite.name}: cannot run`, () => prepare(suite, plan, machine));
      if (prepared === undefined) result = 'failed';
      else bySuite.set(suite, prepared);
    }
    return result;
  });
  for (const { suite, isEmpty } of suites) {
    console.log(`\n━━ ${suite.name}: ${suite.what}`);
    const prepared = bySuite.get(suite);
    await timed(suite.name, suite.budgetSeconds, async () => {
      if (isEmpty) return 'no tests yet';
      return prepared === undefined ? 'failed' : await runSuite(suite, plan, prepared);
    });
  }
  if (ownEngine.isRunning) await stopOwnEngine();
  for (const name of plan.leftOut) outcomes.push({ name, result: 'left out', seconds: 0 });
  console.log(`\n${formatOutcomes(outcomes)}`);
  return outcomes.some((each) => each.result === 'failed') ? 1 : 0;
}

/** Runs `work`; a failure with a sentence for the user is printed and answered by undefined. */
async function reported<T>(prefix: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InstallError || error instanceof LabError || error instanceof BuildError))
      throw error;
    console.error(`${prefix}: ${error.message}`);
    return undefined;
  }
}

async function lookAtMachine(plan: TestPlan): Promise<Machine> {
  const isLinux = process.platform === 'linux';
  const groups = [
    ...new Set(plan.suites.filter((each) => each.isInside === true).flatMap((each) => each.groups)),
  ];
  const [hasNamespaces, hasPackages, version] = await Promise.all([
    isLinux ? canHaveNamespaces(isRoot()) : false,
    isLinux ? canHavePackages(groups, plan) : false,
    answeringEngine(process.env),
  ]);
  return {
    platform: process.platform,
    isRoot: isRoot(),
    hasNamespaces,
    hasPackages,
    hasEngine: version !== undefined,
    isImageForced: process.env['CALICO_TS_TEST_IMAGE'] === '1',
  };
}

/** Sees to it that what a suite needs is there. Throws InstallError. */
async function prepare(suite: Suite, plan: TestPlan, machine: Machine): Promise<Prepared> {
  const place = placeOf(suite, machine);
  if (place.kind === 'nowhere') throw new InstallError(place.reason);
  if (place.kind === 'testImage') {
    const engine = await ensureEngine({ mayInstall: false });
    if (!testImage.isBuilt) {
      console.log(`what needs a kernel of its own runs in the test image (${place.why})`);
      await buildTestImage(engine, plan);
      testImage.isBuilt = true;
    }
    return { env: engine.env, isInTestImage: true };
  }
  if (!suite.groups.includes('containers'))
    return { env: await ensurePackages(suite.groups, plan), isInTestImage: false };
  const engine = await ensureEngine(plan);
  ownEngine.isRunning ||= engine.isStartedHere;
  return { env: engine.env, isInTestImage: false };
}

async function runSuite(
  suite: Suite,
  plan: TestPlan,
  { env, isInTestImage }: Prepared,
): Promise<SuiteResult> {
  if (isInTestImage)
    return (await runInTestImage(argumentsFor(suite, plan), env)) === 0 ? 'passed' : 'failed';
  if (suite.jestProject === undefined) return await runChecks(env);
  const isReady = await reported(`${suite.name}: cannot run`, async () => {
    if (suite.isInside === true) await buildIfChanged();
    return true;
  });
  if (isReady === undefined) return 'failed';
  const argv = ['jest', ...jestArgs(suite, plan)];
  const code = await runLimited(
    suite.isInside === true ? insideArgv(argv, isRoot()) : ['jest', ...argv.slice(1)],
    { ...env, ...suiteEnvironment(plan) },
    suite.budgetSeconds * HARD_LIMIT * (plan.isLong ? 10 : 1),
  );
  return code === 0 ? 'passed' : 'failed';
}

/** What this command is called with inside the image, where everything is installed. */
function argumentsFor(suite: Suite, plan: TestPlan): readonly string[] {
  const long = plan.isLong ? ['--long'] : [];
  const jest = plan.jestArgs.length === 0 ? [] : ['--', ...plan.jestArgs];
  return ['--only', suite.name, '--no-install', ...long, ...jest];
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function testFilesOf(suite: Suite): number {
  if (suite.jestProject === undefined) return 1;
  // Jest wants the folder of every project to be there, whichever is selected; git keeps no empty ones.
  const folder = join(ROOT, 'test', suite.jestProject);
  return globSync('**/*.test.ts', { cwd: folder }).length;
}

function jestArgs(suite: Suite, plan: TestPlan): readonly string[] {
  const workers = suite.isSerial === true ? 1 : Math.min(MAX_WORKERS, availableParallelism());
  return [
    `--selectProjects=${suite.jestProject}`,
    `--maxWorkers=${workers}`,
    `--cacheDirectory=${cacheDir('jest')}`,
    ...(plan.jestArgs.length === 0 ? [] : ['--passWithNoTests', ...plan.jestArgs]),
  ];
}

/** Named after the real user: inside, everybody is root, and Jest's own choice would collide. */
function cacheDir(name: 'jest' | 'compile'): string {
  try {
    accessSync(ROOT, constants.W_OK);
    return join(ROOT, '.cache', name);
  } catch {
    return join(tmpdir(), `calico-ts-${name}-${process.getuid?.() ?? 0}`);
  }
}

function suiteEnvironment(plan: TestPlan): Readonly<Record<string, string>> {
  return {
    // Programs run as they ship, and those that tests run from their sources keep what V8 has made of them.
    CALICO_TS_PROGRAMS: 'dist',
    NODE_COMPILE_CACHE: cacheDir('compile'),
    // The reaper's image cannot be pulled everywhere; the tests clean up by label themselves.
    TESTCONTAINERS_RYUK_DISABLED: 'true',
    ...(plan.isLong ? { CALICO_TS_LONG: '1' } : {}),
  };
}

/** Runs a command with a time limit; a suite that hangs is ended and counts as failed. */
async function runLimited(
  argv: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  limitSeconds: number,
): Promise<number> {
  const limited: [string, ...string[]] = [
    'timeout',
    '--foreground',
    '--kill-after=10',
    String(limitSeconds),
    ...argv,
  ];
  const code = await runInherited(limited, env);
  if (code === 124 || code === 137)
    console.error(`ended after ${limitSeconds} s, ${HARD_LIMIT} times its budget`);
  return code;
}

async function runChecks(env: NodeJS.ProcessEnv): Promise<SuiteResult> {
  let result: SuiteResult = 'passed';
  for (const { what, argv } of CHECKS) {
    const [program, ...args] = argv;
    const bin = join(ROOT, 'node_modules/.bin', program);
    const done = await step(what, () => run(bin, args, { cwd: ROOT, env, timeoutMs: CHECK_TIMEOUT_MS }));
    if (done.code === 0) continue;
    result = 'failed';
    console.log(`${done.stdout}${done.stderr}`.trimEnd());
  }
  return result;
}

for (const project of ['unit', 'integration', 'lab', 'interop', 'e2e']) {
  const folder = join(ROOT, 'test', project);
  if (globSync(folder).length === 0) mkdirSync(folder, { recursive: true });
}
process.exitCode = await main(process.argv.slice(2));
