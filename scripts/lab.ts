// `npm run lab`: brings a lab up in the background and enters it from the user's own shell. `npm run lab -- help` lists
// what it can do.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ControlRequest, callControl, type LabStatus } from '../lab/control.ts';
import { etcdctlEnvironment } from '../lab/etcd.ts';
import { assertNamespaces, enterArgv, insideArgv, onHostArgv } from '../lab/inside.ts';
import { LabError } from '../lab/lab-error.ts';
import { labStateDir, readLabRecord, resetStateDir, writeLabRecord } from '../lab/state.ts';
import { readCommandLine, tellUsage, UsageExit } from '../lib/config/usage.ts';
import type { ProcessIdentity } from '../lib/process/identity.ts';
import { BuildError, buildIfChanged } from './build.ts';
import { InstallError } from './debian/install.ts';
import { runInherited } from './inside.ts';
import { ensurePackages, installedEnvironment } from './packages.ts';
import { step } from './progress.ts';

const ROOT = join(import.meta.dirname, '..');
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;
const INTERRUPTIONS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const INTERRUPTED = 130;

const HELP = `npm run lab [-- OPTIONS]            start a lab (3 hosts) in the background and play the story on it
  --hosts N                        with N hosts
  --no-install                     do not fetch missing Debian packages
  --no-story                       only start it
  --source                         run the programs from source instead of compiled
npm run lab -- story               play the story again
npm run lab -- status              hosts, addresses, programs
npm run lab -- shell [HOST] [COMMAND …]   a shell on a host (or beside etcd), or one command
npm run lab -- etcdctl …           etcdctl with the lab's endpoint set
npm run lab -- kubectl …           kubectl with the lab's kubeconfig
npm run lab -- calicoctl …         this project's calicoctl
npm run lab -- policy-test FILE …   policy tests (kind PolicyTest) with real packets; --format text|tap|junit
npm run lab -- add NAME [external] add a node, or a machine outside the cluster
npm run lab -- remove NAME [power-off]    shut a host down, or cut its power
npm run lab -- logs                what the lab said so far
npm run lab -- --down              end it`;

/** A sentence for the user; no stack trace. */
class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Somebody would not wait for the lab to come up. */
class InterruptedError extends CommandError {
  constructor() {
    super('interrupted: the lab that was starting is ended');
  }
}

interface Context {
  readonly uid: number;
  readonly isRoot: boolean;
  readonly stateDir: string;
}

/** Commands without options or arguments. */
const ALONE = ['down', '--down', 'status', 'story', 'logs', 'help'];

async function main(args: readonly string[]): Promise<number> {
  const uid = process.getuid?.() ?? -1;
  const context = { uid, isRoot: uid === 0, stateDir: labStateDir(process.env, ROOT, uid) };
  const [command = 'up', ...rest] = args;
  if (command.startsWith('-') && command !== '--down') return await up(context, args);
  if (ALONE.includes(command)) readCommandLine(HELP, { args: rest });
  switch (command) {
    case 'up':
      return await up(context, rest);
    case 'down':
    case '--down':
      return await down(context);
    case 'status':
      return await control(context, { op: 'status' });
    case 'shell':
      return await shell(context, passedOn(rest));
    case 'story':
      return await playStory(context, availableForm());
    case 'policy-test':
      return await runInLab(context, 'lab/policy-test/main', passedOn(rest), process.cwd());
    case 'add':
      return await control(context, {
        op: 'addHost',
        name: nameFrom(rest),
        kind: rest[1] === 'external' ? 'external' : 'node',
      });
    case 'remove': {
      const how = rest[1] === 'power-off' ? 'power-off' : 'shut-down';
      return await control(context, { op: 'removeHost', name: nameFrom(rest), how });
    }
    case 'etcdctl':
    case 'kubectl':
    case 'calicoctl':
      return await tool(context, command, rest);
    case 'logs':
      process.stdout.write(readFileSync(logFile(context), 'utf8'));
      return 0;
    case 'help':
      throw new UsageExit(HELP);
    default:
      throw new UsageExit(HELP, `unknown command ${command}`);
  }
}

function nameFrom(args: readonly string[]): string {
  const [name] = readCommandLine(HELP, { args: [...args], allowPositionals: true }).positionals;
  if (name === undefined) throw new UsageExit(HELP, 'which host?');
  return name;
}

/** Arguments that a program in the lab reads. Help needs no lab; the tools have their own. */
function passedOn(args: readonly string[]): readonly string[] {
  if (args[0] === '--help') throw new UsageExit(HELP);
  return args;
}

async function up(context: Context, args: readonly string[]): Promise<number> {
  const { values } = readCommandLine(HELP, {
    args: [...args],
    options: {
      hosts: { type: 'string', default: '3' },
      'no-install': { type: 'boolean', default: false },
      'no-story': { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
    },
  });
  if (!/^\d+$/.test(values.hosts))
    throw new UsageExit(HELP, `--hosts ${values.hosts}: not a number of hosts`);
  if (readLabRecord(context.stateDir) !== undefined) {
    console.log('a lab is running already (npm run lab -- --down ends it)');
    return await control(context, { op: 'status' });
  }
  const startedAt = performance.now();
  const env = await ensurePackages(['lab'], { mayInstall: !values['no-install'] });
  await assertNamespaces(context.isRoot);
  if (!values.source) await buildIfChanged();
  resetStateDir(context.stateDir, context.uid);
  const form = values.source ? 'source' : 'dist';
  const options = ['--state-dir', context.stateDir, '--package-root', ROOT, '--programs', form];
  const argv = [process.execPath, programFile('lab/main', form), ...options, '--hosts', values.hosts];
  await step(`starting a lab of ${values.hosts} hosts in ${context.stateDir}`, async (at) => {
    await startDetached(context, insideArgv(argv, context.isRoot), env, (line) => at.note(line));
  });
  console.log(`lab ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  const code = values['no-story'] ? await control(context, { op: 'status' }) : await playStory(context, form);
  if (code === 0) console.log(WHERE_NEXT);
  return code;
}

const WHERE_NEXT = `
where to look next
  npm run lab -- kubectl get pods -A -o wide
  npm run lab -- calicoctl node status
  npm run lab -- calicoctl events -f
  npm run lab -- etcdctl get --prefix /calico --keys-only
  npm run lab -- shell node-1 nft list table inet calico
  npm run lab -- --down`;

function playStory(context: Context, form: 'dist' | 'source'): Promise<number> {
  return runInLab(context, 'lab/story/main', [], ROOT, form);
}

/** A program of the lab's own, inside, beside etcd. */
async function runInLab(
  context: Context,
  program: string,
  args: readonly string[],
  cwd: string,
  form = availableForm(),
): Promise<number> {
  const record = mustRun(context);
  const options = ['--state-dir', context.stateDir, '--calicoctl', programFile('cli/main', form)];
  const argv = [process.execPath, programFile(program, form), ...options, ...args];
  return await runInherited(enterArgv(argv, { ...context, pid: record.pid, cwd }), installedEnvironment());
}

function programFile(path: string, form: 'dist' | 'source'): string {
  return form === 'source' ? join(ROOT, `${path}.ts`) : join(ROOT, 'dist', `${path}.js`);
}

/** Compiled, where it was compiled. */
function availableForm(): 'dist' | 'source' {
  return existsSync(programFile('cli/main', 'dist')) ? 'dist' : 'source';
}

async function startDetached(
  context: Context,
  argv: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  onProgress: (line: string) => void,
): Promise<void> {
  const log = openSync(logFile(context), 'a', 0o600);
  const [program, ...args] = argv;
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env, cwd: ROOT });
  closeSync(log);
  child.unref();
  const start: { endedBy?: 'itself' | 'interruption' } = {};
  for (const event of ['error', 'exit']) child.once(event, () => (start.endedBy ??= 'itself'));
  // It has a session of its own, so the terminal's INT ends this command alone, which then has to end the lab.
  const interrupt = () => (start.endedBy ??= 'interruption');
  for (const signal of INTERRUPTIONS) process.on(signal, interrupt);
  const deadline = performance.now() + START_TIMEOUT_MS;
  const isReady = () => existsSync(join(context.stateDir, 'ready'));
  // Written down before it is ready: whoever kills this command can still end the lab with --down.
  for (let isWritten = false; !(isWritten && isReady()); ) {
    const first = onlyChildOf(child.pid ?? -1);
    if (start.endedBy !== undefined || performance.now() > deadline) {
      if (start.endedBy !== 'itself') killAll([first, child.pid]);
      throw start.endedBy === 'interruption' ? new InterruptedError() : notUp(context);
    }
    if (!isWritten && first !== undefined) isWritten = writeLabRecord(context.stateDir, first);
    onProgress(lastLogLine(context));
    await delay(10);
  }
  for (const signal of INTERRUPTIONS) process.off(signal, interrupt);
}

function lastLogLine(context: Context): string {
  return readFileSync(logFile(context), 'utf8').trimEnd().split('\n').at(-1) ?? '';
}

function notUp(context: Context): CommandError {
  return new CommandError(
    `the lab did not come up:\n${readFileSync(logFile(context), 'utf8').slice(-4_000)}`,
  );
}

function killAll(pids: readonly (number | undefined)[]): void {
  for (const pid of pids) {
    try {
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    } catch {
      // ESRCH: it has ended by itself.
    }
  }
}

/** `unshare --fork` has one child, the lab's first process; undefined before the fork and after its end. */
function onlyChildOf(pid: number): number | undefined {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  } catch {
    return undefined;
  }
}

async function down(context: Context): Promise<number> {
  const record = readLabRecord(context.stateDir);
  if (record === undefined) {
    console.log('no lab is running');
    return 0;
  }
  await step('ending the lab', async () => {
    // The lab's first process hands TERM on; KILL to it ends everything inside at once.
    process.kill(record.pid, 'SIGTERM');
    if (await hasEndedWithin(context, STOP_TIMEOUT_MS)) return;
    process.kill(record.pid, 'SIGKILL');
    if (!(await hasEndedWithin(context, STOP_TIMEOUT_MS)))
      throw new CommandError(`process ${record.pid} does not end`);
  });
  return 0;
}

async function hasEndedWithin(context: Context, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (readLabRecord(context.stateDir) !== undefined) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

function mustRun(context: Context): ProcessIdentity {
  const record = readLabRecord(context.stateDir);
  if (record === undefined) throw new CommandError('no lab is running: start one with npm run lab');
  return record;
}

async function control(context: Context, request: ControlRequest): Promise<number> {
  mustRun(context);
  printStatus(await callControl(context.stateDir, request));
  return 0;
}

function printStatus(status: LabStatus): void {
  console.log(`etcd        ${status.etcdEndpoint}`);
  for (const host of status.hosts) {
    const programs = host.processes.map((each) => `${each.name}${each.pid === undefined ? ' (down)' : ''}`);
    const columns = [
      host.name.padEnd(11),
      host.address.padEnd(14),
      host.address6.padEnd(12),
      programs.join(' '),
    ];
    console.log(columns.join(' ').trimEnd());
  }
}

/** A shell beside etcd, on a host, or one command there. */
async function shell(context: Context, args: readonly string[]): Promise<number> {
  const record = mustRun(context);
  const { hosts } = await callControl(context.stateDir, { op: 'status' });
  const [first, ...rest] = args;
  const host = hosts.find((each) => each.name === first);
  if (first !== undefined && host === undefined) {
    throw new CommandError(`no host ${first}; there are: ${hosts.map((each) => each.name).join(' ')}`);
  }
  const command = rest[0] === '--' ? rest.slice(1) : rest;
  const prompt = `PS1=${host?.name ?? 'lab'}:\\w# `;
  const argv = command.length > 0 ? command : ['env', prompt, 'bash', '--norc', '--noprofile'];
  const env = installedEnvironment();
  const inside = host === undefined ? argv : onHostArgv(argv, host.netns);
  return await runInherited(enterArgv(inside, { ...context, pid: record.pid, cwd: process.cwd() }), env);
}

async function tool(
  context: Context,
  name: 'etcdctl' | 'kubectl' | 'calicoctl',
  args: readonly string[],
): Promise<number> {
  const record = mustRun(context);
  const { etcdEndpoint } = await callControl(context.stateDir, { op: 'status' });
  const env = installedEnvironment();
  const kubeconfig = join(context.stateDir, 'kubeconfig');
  const calicoctl = [process.execPath, programFile('cli/main', availableForm())];
  const argv = name === 'calicoctl' ? [...calicoctl, ...args] : [name, ...args];
  const settings = {
    ...etcdctlEnvironment(etcdEndpoint, join(context.stateDir, 'certificates/etcd-root')),
    KUBECONFIG: kubeconfig,
  };
  const enter = enterArgv(argv, { ...context, pid: record.pid, cwd: process.cwd() });
  return await runInherited(enter, { ...env, ...settings });
}

function logFile(context: Context): string {
  return join(context.stateDir, 'lab.log');
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isForTheUser = [CommandError, LabError, InstallError, BuildError].some(
    (kind) => error instanceof kind,
  );
  if (isForTheUser && error instanceof Error) {
    console.error(error.message);
    process.exitCode = error instanceof InterruptedError ? INTERRUPTED : 1;
  } else process.exitCode = tellUsage(error);
}
