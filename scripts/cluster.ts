// The mini cluster as containers: build, up, down, and commands in it, through `docker compose`. Used by the demo and by
// the end-to-end tests.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ComposeCluster } from '../lab/story/compose-cluster.ts';
import { type RunResult, run, runOk } from '../lib/process/run.ts';
import { ensureBaseImage } from './base-image.ts';
import type { Engine } from './engine.ts';
import { step } from './progress.ts';
import { runWatched } from './watched.ts';

const ROOT = join(import.meta.dirname, '..');
const BUILD_TIMEOUT_MS = 1_200_000;
const UP_TIMEOUT_MS = 180_000;
const COMPOSE_TIMEOUT_MS = 120_000;
const COMMAND_TIMEOUT_MS = 60_000;
/** The first engine that knows healthcheck.start_interval. */
const FIRST_WITH_START_INTERVAL = 25;

/** The kubelet's mark on what it makes in the engine (docs/kubelet.md). */
const CLUSTER_LABEL = 'calico-ts.dev/cluster';

/** Images that a build makes, with the tag that compose.yaml gives them. */
export function imagesOf(env: NodeJS.ProcessEnv): readonly string[] {
  const tag = env['CALICO_TS_TAG'] || 'latest';
  return ['calico-ts', 'calico-ts-etcd', 'calico-ts-redis'].map((name) => `${name}:${tag}`);
}

/** Brings the images up to date; a build without changes takes a second or two. */
export async function buildImages(engine: Engine, options: { readonly mayInstall: boolean }): Promise<void> {
  await ensureBaseImage(engine.env, options);
  await step('building the images', (at) =>
    runWatched(['docker', 'compose', '--progress', 'plain', 'build'], {
      env: engine.env,
      timeoutMs: BUILD_TIMEOUT_MS,
      cwd: ROOT,
      onLine: (line) => at.note(buildNote(line)),
    }),
  );
}

/** BuildKit's plain lines are `#12 3.45 text`; the text says how far it is. */
export function buildNote(line: string): string {
  return line.replace(/^#\d+ (\d+\.\d+ )?/, '').slice(0, 120);
}

/** How far `docker compose --progress plain up --wait` is: its lines are ` Container NAME STATE`, out of order. */
export class ComposeProgress {
  readonly #waitingFor = new Set<string>();

  /** The containers that are still awaited, or the line itself while none is known. */
  onLine(line: string): string {
    const [, name, state] = /^\s*Container (\S+)\s+(\S+)/.exec(line) ?? [];
    if (name !== undefined && state === 'Waiting') this.#waitingFor.add(name);
    if (name !== undefined && (state === 'Healthy' || state === 'Exited')) this.#waitingFor.delete(name);
    if (this.#waitingFor.size === 0) return line.trim();
    return `waiting for ${[...this.#waitingFor].sort().join(', ')}`;
  }
}

export class Cluster {
  readonly #engine: Engine;
  readonly #files: readonly string[];

  /** `files`: compose files; what compose takes by itself when not given. Variables of compose.yaml come with the engine's env. */
  constructor(engine: Engine, files: readonly string[] = ['compose.yaml']) {
    const isOld = Number.parseInt(engine.version, 10) < FIRST_WITH_START_INTERVAL;
    this.#engine = engine;
    this.#files = isOld ? [...files, 'docker/compose.old-engine.yaml'] : files;
  }

  /** Resolves when every container is healthy. */
  async up(...args: readonly string[]): Promise<void> {
    const command = ['--progress', 'plain', 'up', '-d', '--wait', ...args];
    const progress = new ComposeProgress();
    await step(`docker compose up -d --wait ${args.join(' ')}`.trimEnd(), (at) =>
      runWatched(['docker', ...this.#arguments(command)], {
        env: this.#engine.env,
        timeoutMs: UP_TIMEOUT_MS,
        cwd: ROOT,
        onLine: (line) => at.note(progress.onLine(line)),
      }),
    );
  }

  /** Containers of hosts that there are, running or not. */
  async hostCount(): Promise<number> {
    const ids = await this.compose('ps', '--all', '--quiet', 'calico-node');
    return ids.split('\n').filter((id) => id !== '').length;
  }

  /** Containers, networks and volumes go; with them containers that pods were run as through the engine. */
  async down(): Promise<void> {
    await step('removing containers, networks and volumes', async () => {
      const cluster = await this.#projectName();
      await this.compose('down', '--volumes', '--remove-orphans');
      // Nobody makes new ones any more: what a kubelet was in the middle of is among them.
      await this.#removeOfPods(cluster, ['ps', '-aq'], ['rm', '--force', '--volumes']);
      await this.#removeOfPods(cluster, ['volume', 'ls', '-q'], ['volume', 'rm', '--force']);
    });
  }

  async #projectName(): Promise<string> {
    const { name } = JSON.parse(await this.compose('config', '--format', 'json')) as { name: string };
    return name;
  }

  async #removeOfPods(cluster: string, list: readonly string[], remove: readonly string[]): Promise<void> {
    const options = { env: this.#engine.env, timeoutMs: COMPOSE_TIMEOUT_MS };
    const listed = await run('docker', [...list, '--filter', `label=${CLUSTER_LABEL}=${cluster}`], options);
    const ids = listed.stdout.split('\n').filter((id) => id !== '');
    // One that is gone by now is no loss.
    if (ids.length > 0) await run('docker', [...remove, ...ids], options);
  }

  /** The same containers as the story's cluster. */
  storyCluster(): ComposeCluster {
    return new ComposeCluster({
      compose: ['docker', ...this.#arguments([])],
      cwd: ROOT,
      env: this.#engine.env,
    });
  }

  /** Any `docker compose` command. Throws ProcessError `failed` unless it ends with 0. */
  async compose(...args: readonly string[]): Promise<string> {
    const options = { env: this.#engine.env, cwd: ROOT, timeoutMs: COMPOSE_TIMEOUT_MS };
    return (await runOk('docker', this.#arguments(args), options)).stdout;
  }

  /** A command in the container of a service, the `index`th of its kind; its exit code is a result. */
  async exec(service: string, argv: readonly string[], index = 1): Promise<RunResult> {
    const args = this.#arguments(['exec', '-T', `--index=${index}`, service, ...argv]);
    return await run('docker', args, { env: this.#engine.env, cwd: ROOT, timeoutMs: COMMAND_TIMEOUT_MS });
  }

  /** kubectl beside the controller. Throws ProcessError `failed` unless it ends with 0. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return await this.compose('exec', '-T', 'controller', 'kubectl', ...args);
  }

  /** `kubectl apply -f -` with manifests as JSON. */
  async apply(...manifests: readonly object[]): Promise<void> {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests });
    await this.pipe('controller', ['kubectl', 'apply', '-f', '-'], input);
  }

  /** Standard output of a command with this input. Throws ProcessError `failed` unless it ends with 0. */
  async pipe(service: string, argv: readonly string[], input: string): Promise<string> {
    const args = this.#arguments(['exec', '-T', service, ...argv]);
    const options = { env: this.#engine.env, cwd: ROOT, timeoutMs: COMMAND_TIMEOUT_MS, input };
    return (await runOk('docker', args, options)).stdout;
  }

  /** Writes a kubeconfig for the published port, for this user alone; gives its path. */
  async writeKubeconfig(directory: string): Promise<string> {
    const text = await this.compose('exec', '-T', 'controller', 'cat', '/certs/admin/kubeconfig-host');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, 'kubeconfig');
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  #arguments(args: readonly string[]): readonly string[] {
    return ['compose', ...this.#files.flatMap((file) => ['-f', file]), ...args];
  }
}
