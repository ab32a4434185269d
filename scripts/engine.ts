// Sees to it that a Docker engine with compose answers: one that is there is used as it is, whoever the user is; otherwise
// root on Debian installs and starts one. `stopOwnEngine` ends only what was started here.
// By hand: `node scripts/bootstrap.js engine [--no-install | --stop]`.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isSameProcessAlive, processIdentitySchema } from '../lib/process/identity.ts';
import { run } from '../lib/process/run.ts';
import { InstallError } from './debian/install.ts';
import { ensurePackages } from './packages.ts';
import { step } from './progress.ts';

const CACHE = join(import.meta.dirname, '..', '.cache');
const RECORD = join(CACHE, 'engine.json');
const LOG = join(CACHE, 'dockerd.log');
const DOCKERD = 'dockerd';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

export interface Engine {
  /** Environment in which `docker` and `docker compose` work. */
  readonly env: NodeJS.ProcessEnv;
  /** Version of the server, e.g. 26.1.5. */
  readonly version: string;
  /** True when this call started it. */
  readonly isStartedHere: boolean;
}

/** Throws InstallError, with why in one sentence, when no engine is to be had. */
export async function ensureEngine(options: { readonly mayInstall: boolean }): Promise<Engine> {
  const isRoot = process.getuid?.() === 0;
  const before = await ask(process.env);
  if (before.version === undefined && process.platform !== 'linux')
    throw new InstallError(
      `no Docker engine answers (${before.reason}): install one (Docker Desktop, colima or podman machine) and start it`,
    );
  if (before.version === undefined && !isRoot) {
    throw new InstallError(
      `no Docker engine answers (${before.reason}), and only root can install or start one`,
    );
  }
  const hasCompose = (await run('docker', ['compose', 'version']).catch(() => undefined))?.code === 0;
  if (before.version !== undefined && !hasCompose && !isRoot) {
    throw new InstallError(
      'the Docker engine answers but `docker compose` is missing, and only root can install it',
    );
  }
  const env = await ensurePackages(['containers'], options);
  if (before.version === undefined) await startEngine(env);
  const after = await ask(env);
  if (after.version === undefined)
    throw new InstallError(`the Docker engine does not answer: ${after.reason}`);
  return { env, version: after.version, isStartedHere: before.version === undefined };
}

/** Stops the engine if `ensureEngine` started it; answers whether it did. */
export async function stopOwnEngine(): Promise<boolean> {
  let text: string;
  try {
    text = readFileSync(RECORD, 'utf8');
  } catch {
    return false;
  }
  const identity = processIdentitySchema.parse(JSON.parse(text));
  if (!isSameProcessAlive(identity)) {
    rmSync(RECORD, { force: true });
    return false;
  }
  await step('stopping the Docker engine that was started here', async () => {
    process.kill(identity.pid, 'SIGTERM');
    const deadline = performance.now() + STOP_TIMEOUT_MS;
    while (isSameProcessAlive(identity)) {
      if (performance.now() > deadline)
        throw new InstallError(`dockerd (process ${identity.pid}) does not stop`);
      await delay(50);
    }
  });
  rmSync(RECORD, { force: true });
  return true;
}

/** Version of the engine that answers now, whoever started it; undefined if none does. */
export async function answeringEngine(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return (await ask(env)).version;
}

async function startEngine(env: NodeJS.ProcessEnv): Promise<void> {
  await step('starting the Docker engine', async (at) => {
    mkdirSync(CACHE, { recursive: true });
    const log = openSync(LOG, 'w', 0o600);
    // With a session of its own it outlives this command, as an engine started by the system would.
    const child = spawn(DOCKERD, [], { detached: true, stdio: ['ignore', log, log], env });
    closeSync(log);
    let hasEnded = false;
    child.once('error', () => {
      hasEnded = true;
    });
    child.once('exit', () => {
      hasEnded = true;
    });
    child.unref();
    const identity = identifyProcess(child.pid ?? -1);
    if (identity !== undefined) writeFileSync(RECORD, `${JSON.stringify(identity)}\n`);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while ((await ask(env)).version === undefined) {
      if (hasEnded || performance.now() > deadline) {
        throw new InstallError(
          `the Docker engine did not start:\n${readFileSync(LOG, 'utf8').slice(-2_000)}`,
        );
      }
      at.note(readFileSync(LOG, 'utf8').trimEnd().split('\n').at(-1) ?? '');
      await delay(100);
    }
  });
}

async function ask(env: NodeJS.ProcessEnv): Promise<{ readonly version?: string; readonly reason: string }> {
  const args = ['info', '--format', '{{.ServerVersion}}'];
  const result = await run('docker', args, { env, timeoutMs: 10_000 }).catch(() => undefined);
  if (result === undefined) return { reason: 'there is no docker program' };
  const version = result.stdout.trim();
  if (result.code === 0 && version !== '') return { version, reason: '' };
  return { reason: result.stderr.trim().split('\n').at(-1) ?? 'docker info failed' };
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--stop')) {
    console.log((await stopOwnEngine()) ? 'stopped' : 'no engine that was started here is running');
    return;
  }
  const engine = await ensureEngine({ mayInstall: !args.includes('--no-install') });
  console.log(`Docker engine ${engine.version} answers${engine.isStartedHere ? ', started here' : ''}`);
}

if (process.argv[1] === import.meta.filename) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    if (!(error instanceof InstallError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  });
}
