// Runs policy tests with real packets on a running lab, from within it. Arguments: --state-dir DIR --calicoctl PROGRAM (a file
// for Node) [--format text|tap|junit] FILE… Exit code 0 all passed, 1 some failed, 2 they could not be run.

import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { explainError } from '../../cli/cli-error.ts';
import { type PolicyTest, readPolicyTests } from '../../cli/manifest/policy-tests.ts';
import { readCommandLine, tellUsage, UsageExit } from '../../lib/config/usage.ts';
import { type FileResults, type ReportFormat, renderReport } from '../../lib/policy/test-file/report.ts';
import { ProcessError } from '../../lib/process/process-error.ts';
import { callControl } from '../control.ts';
import { etcdctlEnvironment } from '../etcd.ts';
import { LabCluster } from '../story/lab-cluster.ts';
import type { Narrator } from '../story/narrator.ts';
import { SceneError } from '../story/scene-error.ts';
import { Stage } from '../story/stage.ts';
import { runOnCluster } from './run.ts';

const FORMATS: readonly string[] = ['text', 'tap', 'junit'];
const USAGE = `npm run lab -- policy-test [--format ${FORMATS.join('|')}] FILE…`;
/** What is waited for goes to standard error, the results to standard output. */
const NARRATOR: Narrator = {
  scene: () => undefined,
  step: () => undefined,
  artefact: () => undefined,
  waiting: (what, seconds) => console.error(`waiting for ${seconds} s: ${what}`),
};

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = readCommandLine(USAGE, {
    args: [...args],
    allowPositionals: true,
    options: {
      'state-dir': { type: 'string' },
      calicoctl: { type: 'string' },
      format: { type: 'string', default: 'text' },
    },
  });
  const { 'state-dir': stateDir, calicoctl, format } = values;
  if (stateDir === undefined || calicoctl === undefined) throw new Error('--state-dir, --calicoctl: needed');
  if (!FORMATS.includes(format))
    throw new UsageExit(USAGE, `--format ${format} is none of ${FORMATS.join(', ')}`);
  if (positionals.length === 0) throw new UsageExit(USAGE, 'which test?');
  const { etcdEndpoint } = await callControl(stateDir, { op: 'status' });
  const refuse = (): Promise<never> => Promise.reject(new Error('a policy test adds and removes no host'));
  const cluster = new LabCluster({
    stateDir,
    etcdctlEnvironment: etcdctlEnvironment(etcdEndpoint, join(stateDir, 'certificates/etcd-root')),
    kubeconfig: join(stateDir, 'kubeconfig'),
    calicoctl: [process.execPath, calicoctl],
    env: process.env,
    hosts: async () => (await callControl(stateDir, { op: 'status' })).hosts,
    addHost: refuse,
    removeHost: refuse,
  });
  const tests = await readPolicyTests(positionals, {
    readStdin: () => text(process.stdin),
    err: (line) => process.stderr.write(line),
  });
  const files: FileResults[] = [];
  for (const test of tests) files.push(await runTest(new Stage(cluster, NARRATOR), test));
  process.stdout.write(renderReport(format as ReportFormat, files));
  if (files.some(({ results }) => results.some(({ ok }) => !ok))) process.exitCode = 1;
}

async function runTest(stage: Stage, { source, file, given, placeOf }: PolicyTest): Promise<FileResults> {
  const start = performance.now();
  const results = await runOnCluster(stage, { file, objects: given.map(({ resource }) => resource) });
  return {
    file: file.metadata?.name ?? source,
    results: results.map((result) => {
      const place = placeOf(result.path);
      return { ...result, place: `${place.file}:${place.line}` };
    }),
    durationMs: performance.now() - start,
  };
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageExit) process.exitCode = tellUsage(error);
  else {
    const told = error instanceof SceneError || error instanceof ProcessError ? error : explainError(error);
    console.error(told === undefined ? error : told.message);
    process.exitCode = 2;
  }
}
