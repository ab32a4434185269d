// Lab of three hosts, from the command to the first policed packet: `npm run lab`, a policy, two pods, and a probe that the
// policy lets through.
//   node bench/lab.ts        (compiles first if the sources have changed; that time is not part of the figure)

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOk } from '../lib/process/run.ts';

const ROOT = join(import.meta.dirname, '..');
const BOOTSTRAP = join(ROOT, 'scripts/bootstrap.js');
const TIMEOUT_MS = 180_000;
const TARGET = { app: 'target' };
const CLIENT = { app: 'client' };

function pod(name: string, node: string, labels: object, command?: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [{ name, image: 'probe', ...(command === undefined ? {} : { command }) }],
    },
  };
}

const policy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'only-clients' },
  spec: {
    podSelector: { matchLabels: TARGET },
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ podSelector: { matchLabels: CLIENT } }] }],
  },
};

const stateDir = mkdtempSync(join(tmpdir(), 'ct-bench-'));
const env = { ...process.env, CALICO_TS_LAB_DIR: stateDir };

async function npmRunLab(args: readonly string[], input?: string): Promise<string> {
  const options = { env, cwd: ROOT, timeoutMs: TIMEOUT_MS, ...(input === undefined ? {} : { input }) };
  return (await runOk(process.execPath, [BOOTSTRAP, 'lab', ...args], options)).stdout;
}

await runOk(process.execPath, [join(ROOT, 'scripts/build.ts')], { timeoutMs: TIMEOUT_MS });
const startedAt = performance.now();
const say = (text: string): void =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${text}`);
try {
  await npmRunLab(['--no-story']);
  say('the lab is ready');
  const target = pod('target', 'node-2', TARGET);
  const items = [policy, target, pod('client', 'node-1', CLIENT)];
  await npmRunLab(['kubectl', 'apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await npmRunLab(['kubectl', 'wait', '--for=condition=Ready', '--timeout=60s', 'pod/target', 'pod/client']);
  say('both pods are ready');
  const ip = await npmRunLab(['kubectl', 'get', 'pod', 'target', '-o', 'jsonpath={.status.podIP}']);
  await npmRunLab(['kubectl', 'exec', 'client', '--', 'probe', 'connect', 'http', ip]);
  say('first policed packet answered');
} finally {
  await npmRunLab(['--down']);
  rmSync(stateDir, { recursive: true, force: true });
}
