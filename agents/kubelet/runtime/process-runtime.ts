// Runs the built-in images as processes in namespaces of their own, each under a shim (docs/kubelet.md). Nothing is kept in
// memory that is not on disk or in the kernel: a kubelet that starts finds what runs.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../lib/logging/logger.ts';
import { isSameProcessAlive, type ProcessIdentity } from '../../../lib/process/identity.ts';
import { startChildExec } from './child-exec.ts';
import {
  type ContainerConfig,
  type ContainerRef,
  type ContainerRuntime,
  type ContainerState,
  type ExecProcess,
  type ExecRequest,
  type ImageVerdict,
  RuntimeError,
  type Sandbox,
  type SandboxConfig,
} from './container-runtime.ts';
import { builtInImage, commandLine, confinedCommand, installImages, judgeBuiltIn } from './images.ts';
import { limitLog } from './log-limit.ts';
import type { LogOptions } from './log-lines.ts';
import { readLog } from './log-reader.ts';
import { NetworkNamespaces } from './network-namespace.ts';
import { readShimFiles } from './shim-files.ts';
import { INIT_SCRIPT, LOAD_ENVIRONMENT, LOG_SCRIPT, renderEnvironment, SHIM_SCRIPT } from './shim-script.ts';

export interface ProcessRuntimeOptions {
  readonly stateDir: string;
  readonly programs: ShimPrograms;
  readonly version: string;
  readonly logger: Logger;
}

/** Paths of the programs that a shim runs: a static busybox, and util-linux' own, which know more than busybox' of the same name. */
export interface ShimPrograms {
  readonly BUSYBOX: string;
  readonly UNSHARE: string;
  readonly NSENTER: string;
  readonly SETPRIV: string;
}

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class ProcessRuntime implements ContainerRuntime {
  readonly version: string;
  readonly #options: ProcessRuntimeOptions;
  readonly #namespaces: NetworkNamespaces;
  readonly #podsDir: string;
  readonly #shimDir: string;
  readonly #imagesDir: string;
  readonly #listeners = new Set<(podUid: string) => void>();
  readonly #watchers = new Map<string, FSWatcher>();

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
    this.version = `process://${options.version}`;
    this.#podsDir = join(options.stateDir, 'pods');
    this.#shimDir = join(options.stateDir, 'shim');
    this.#imagesDir = join(options.stateDir, 'images');
    this.#namespaces = new NetworkNamespaces(join(options.stateDir, 'netns'));
  }

  async start(): Promise<void> {
    for (const directory of [this.#podsDir, this.#shimDir, this.#imagesDir])
      mkdirSync(directory, { recursive: true, mode: 0o711 });
    const scripts = { 'shim.sh': SHIM_SCRIPT, 'init.sh': INIT_SCRIPT, 'log.awk': LOG_SCRIPT };
    for (const [name, text] of Object.entries(scripts)) this.#install(name, text);
    const { BUSYBOX, SETPRIV } = this.#options.programs;
    await installImages(this.#imagesDir, BUSYBOX, SETPRIV);
  }

  /** Containers go on; only what watches them ends. */
  async stop(): Promise<void> {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async ensureImage(image: string): Promise<ImageVerdict> {
    return judgeBuiltIn(image);
  }

  async createSandbox(config: SandboxConfig, signal: AbortSignal): Promise<Sandbox> {
    const id = randomUUID().replaceAll('-', '');
    if (config.hostNetwork) return { id, netns: undefined };
    return { id, netns: await this.#namespaces.create(id, signal) };
  }

  async isSandboxAlive(sandbox: Sandbox): Promise<boolean> {
    return sandbox.netns === undefined || this.#namespaces.isAlive(sandbox.netns);
  }

  async removeSandbox(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
    if (sandbox.netns !== undefined) await this.#namespaces.remove(sandbox.id, signal);
  }

  async startContainer(config: ContainerConfig, signal: AbortSignal): Promise<void> {
    const image = builtInImage(config.image);
    if (image === undefined) throw new RuntimeError({ code: 'unsupported', what: `image ${config.image}` });
    const directory = this.#attemptDir(config.ref);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    writeFileSync(join(directory, 'log'), '', { mode: 0o600 });
    writeMounts(directory, config);
    const workingDir = config.workingDir ?? '/';
    writeFileSync(join(directory, 'run.json'), JSON.stringify({ workingDir }), { mode: 0o600 });
    writeFileSync(join(directory, 'environment'), renderEnvironment(withDefaults(config.env)), {
      mode: 0o600,
    });
    this.#watch(config.ref);
    const command = commandLine(image, config.command, config.args);
    const child = spawn(
      this.#options.programs.BUSYBOX,
      [
        'sh',
        join(this.#shimDir, 'shim.sh'),
        directory,
        config.sandbox.netns ?? '',
        config.hostname,
        join(this.#imagesDir, image),
        workingDir,
        bootTime(),
        ...confined(command),
      ],
      {
        detached: true,
        stdio: 'ignore',
        cwd: '/',
        // The rest of our environment marks whose host this is, where hosts share a process table.
        env: { ...process.env, ...this.#options.programs, SHIM_DIR: this.#shimDir },
      },
    );
    const failed = new Promise<never>((_resolve, reject) => {
      child.once('error', (cause) =>
        reject(new RuntimeError({ code: 'startFailed', detail: cause.message }, { cause })),
      );
    });
    child.once('exit', () => this.#tell(config.ref.podUid));
    child.unref();
    await Promise.race([failed, this.#started(config.ref, signal)]);
  }

  /** Until the container's first process is set up, or has failed to be. */
  async #started(ref: ContainerRef, signal: AbortSignal): Promise<void> {
    const directory = this.#attemptDir(ref);
    const deadline = performance.now() + START_TIMEOUT_MS;
    const hasInit = (): boolean => readShimFiles(directory, containerId(ref)).init !== undefined;
    while (!hasInit() && !existsSync(join(directory, 'exit'))) {
      if (performance.now() > deadline || signal.aborted)
        throw new RuntimeError({
          code: 'startFailed',
          detail: signal.aborted
            ? 'the start was broken off'
            : `nothing of it ran within ${START_TIMEOUT_MS / 1000} s: the node may have too much to do`,
        });
      await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async inspect(ref: ContainerRef): Promise<ContainerState> {
    const { state } = readShimFiles(this.#attemptDir(ref), containerId(ref));
    if (state.kind !== 'running') return state;
    this.#watch(ref);
    limitLog(join(this.#attemptDir(ref), 'log'));
    return state;
  }

  async signalContainer(ref: ContainerRef, kind: 'TERM' | 'KILL'): Promise<void> {
    const { shim, init, state } = readShimFiles(this.#attemptDir(ref), containerId(ref));
    if (init !== undefined) kill(init, `SIG${kind}`);
    // A shim whose container has not come up yet, or that was orphaned by it, goes with its group.
    if (kind === 'KILL' && (init === undefined || state.kind === 'exited') && shim !== undefined)
      killGroup(shim);
  }

  async removeContainer(ref: ContainerRef): Promise<void> {
    const directory = this.#attemptDir(ref);
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
    rmSync(directory, { recursive: true, force: true });
  }

  async exec(ref: ContainerRef, request: ExecRequest): Promise<ExecProcess> {
    const directory = this.#attemptDir(ref);
    const { init, state } = readShimFiles(directory, containerId(ref));
    if (state.kind !== 'running' || init === undefined)
      throw new RuntimeError({ code: 'notRunning', container: ref.container });
    const { workingDir } = JSON.parse(readFileSync(join(directory, 'run.json'), 'utf8')) as {
      workingDir: string;
    };
    const enter = ['nsenter', '-t', String(init.pid), '-m', '-n', '-u', '-i', '-p', '-r', '--'];
    const inFolder = ['/bin/sh', '-c', 'cd "$0" && exec "$@"', workingDir];
    const argv = [...enter, ...inFolder, ...confined(request.argv, request.tty ? ['TERM=xterm'] : [])];
    return startChildExec(argv, request, join(directory, 'environment'));
  }

  readLog(ref: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Buffer> {
    const path = join(this.#attemptDir(ref), 'log');
    const isRunning = async (): Promise<boolean> => (await this.inspect(ref)).kind === 'running';
    return readLog({ path, isRunning }, options, signal);
  }

  onChange(listener: (podUid: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Network namespaces that no sandbox of `known` has: left by a kubelet that died while it made them. */
  async sweepSandboxes(known: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    for (const id of this.#namespaces.ids()) if (!known.has(id)) await this.#namespaces.remove(id, signal);
  }

  #attemptDir({ podUid, container, attempt }: ContainerRef): string {
    return join(this.#podsDir, podUid, container, String(attempt));
  }

  #install(name: string, text: string): void {
    const path = join(this.#shimDir, name);
    // busybox sh reads a script as it goes: one that is in use is left as it is.
    if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
    rmSync(path, { force: true });
    writeFileSync(path, text, { mode: 0o755 });
  }

  /** A shim of an earlier kubelet is no child of ours: its exit file tells. */
  #watch(ref: ContainerRef): void {
    const directory = this.#attemptDir(ref);
    if (this.#watchers.has(directory)) return;
    try {
      const watcher = watch(directory, (_event, file) => {
        if (file === 'exit') this.#tell(ref.podUid);
      });
      watcher.on('error', () => watcher.close());
      this.#watchers.set(directory, watcher);
    } catch (error) {
      // Out of inotify watches: the regular look at all pods finds it.
      this.#options.logger.debug('container not watched', { directory, error });
    }
  }

  #tell(podUid: string): void {
    for (const listener of this.#listeners) listener(podUid);
  }
}

/** The command with a container's privileges, and with the environment on file descriptor 3 only. */
function confined(command: readonly string[], more: readonly string[] = []): readonly string[] {
  const load = ['/bin/sh', '-c', LOAD_ENVIRONMENT, 'sh'];
  return ['/bin/env', '-i', ...more, ...confinedCommand([...load, ...command])];
}

function withDefaults(env: ContainerConfig['env']): ContainerConfig['env'] {
  return [['HOME', '/root'], ['PATH', PATH], ...env];
}

function containerId({ podUid, container, attempt }: ContainerRef): string {
  return `process://${podUid}/${container}/${attempt}`;
}

function writeMounts(directory: string, { mounts }: ContainerConfig): void {
  if (mounts.length === 0) return;
  const lines = mounts.map(
    ({ source, target, readOnly }) => `${source}\t${target}\t${readOnly ? 'ro' : 'rw'}\n`,
  );
  writeFileSync(join(directory, 'mounts'), lines.join(''));
}

/** Seconds since the epoch at which this machine's uptime was 0. */
function bootTime(): string {
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  return (Date.now() / 1000 - uptime).toFixed(2);
}

function kill(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isSameProcessAlive(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch {
    // It ended in this moment.
  }
}

function killGroup(leader: ProcessIdentity): void {
  try {
    // The shim is gone, so its number may belong to somebody else by now, unless its group is still there.
    if (isSameProcessAlive(leader) || !existsSync(`/proc/${leader.pid}`))
      process.kill(-leader.pid, 'SIGKILL');
  } catch {
    // Nothing of the group is left.
  }
}
