// A long-running child process: started in a process group of its own, waited for until it is ready, its output kept in
// a bounded tail (and a file, if asked), stopped by TERM to the whole group and KILL after a grace time.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { OutputBuffer } from './output-buffer.ts';
import { type ExitStatus, ProcessError } from './process-error.ts';

/** How one knows that a service can be used. */
export type ReadyWhen =
  /** As soon as it was started. */
  | { readonly kind: 'started' }
  /** When a line of its output (either stream) satisfies the predicate. */
  | { readonly kind: 'line'; readonly matches: (line: string) => boolean }
  /** When the probe answers true; asked again every `intervalMs` (20 when not given). */
  | {
      readonly kind: 'probe';
      readonly isReady: (signal: AbortSignal) => Promise<boolean>;
      readonly intervalMs?: number;
    };

export interface ServiceOptions {
  readonly argv: readonly [string, ...string[]];
  readonly readyWhen: ReadyWhen;
  /** Milliseconds allowed until ready; 10 s when not given. */
  readonly readyTimeoutMs?: number;
  /** Milliseconds between TERM and KILL in `stop`; 5 s when not given. */
  readonly stopGraceMs?: number;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Both streams are also appended to this file. */
  readonly logFile?: string;
  /** Called with each line of either stream, from the first on. */
  readonly onLine?: (line: string) => void;
}

/** A started child. `stop` is idempotent and awaits the end of the child. */
export interface Service {
  readonly pid: number;
  readonly argv: readonly string[];
  /** Settles when the child has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ExitStatus>;
  isRunning(): boolean;
  /** The last 64 KiB of both streams. */
  output(): string;
  /** Sends a signal to the child alone (STOP, CONT and KILL serve fault tests). */
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<ExitStatus>;
}

const DEFAULT_READY_TIMEOUT_MS = 10_000;
const DEFAULT_STOP_GRACE_MS = 5_000;
const DEFAULT_PROBE_INTERVAL_MS = 20;
const MAX_TAIL_BYTES = 64 * 1024;
const MAX_LINE_LENGTH = 16 * 1024;

/**
 * Starts a service and resolves when it is ready. Throws ProcessError `spawnFailed`, `exitedBeforeReady`, `notReady` or
 * `aborted`; in each case nothing is left running.
 */
export async function spawnService(options: ServiceOptions): Promise<Service> {
  const command = options.argv.join(' ');
  if (options.signal?.aborted === true) throw new ProcessError({ code: 'aborted', command });
  const service = new ChildService(options);
  try {
    await service.started;
    await waitUntilReady(service, options, command);
  } catch (error) {
    await service.stop();
    throw error;
  }
  return service;
}

class ChildService implements Service {
  readonly argv: readonly string[];
  readonly exited: Promise<ExitStatus>;
  /** Resolves when the program was executed; rejects with `spawnFailed`. */
  readonly started: Promise<void>;
  readonly #child: ChildProcess;
  readonly #tail = new OutputBuffer(MAX_TAIL_BYTES, 'tail');
  readonly #stopGraceMs: number;
  readonly #lineListeners = new Set<(line: string) => void>();
  #status: ExitStatus | undefined;
  #logFd: number | undefined;
  #partialLine = '';

  constructor(options: ServiceOptions) {
    const [program, ...args] = options.argv;
    this.argv = options.argv;
    this.#stopGraceMs = options.stopGraceMs ?? DEFAULT_STOP_GRACE_MS;
    if (options.onLine !== undefined) this.#lineListeners.add(options.onLine);
    if (options.logFile !== undefined) this.#logFd = openSync(options.logFile, 'a');
    this.#child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#onOutput(chunk));
    this.#child.stderr?.on('data', (chunk: Buffer) => this.#onOutput(chunk));
    this.started = new Promise((resolve, reject) => {
      this.#child.once('spawn', resolve);
      this.#child.once('error', (cause: NodeJS.ErrnoException) => {
        const command = options.argv.join(' ');
        reject(new ProcessError({ code: 'spawnFailed', command, errno: cause.code ?? 'unknown' }, { cause }));
      });
    });
    this.exited = new Promise((resolve) => {
      const end = (status: ExitStatus) => {
        this.#status ??= status;
        resolve(this.#status);
      };
      this.#child.once('error', () => end({ code: null, signal: null }));
      this.#child.once('exit', (code, signal) => end({ code, signal }));
      this.#child.once('close', () => this.#closeLog());
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  isRunning(): boolean {
    return this.#status === undefined;
  }

  output(): string {
    return this.#tail.toString();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  onLine(listener: (line: string) => void): () => void {
    this.#lineListeners.add(listener);
    return () => this.#lineListeners.delete(listener);
  }

  async stop(): Promise<ExitStatus> {
    if (this.#child.pid === undefined) return await this.exited;
    if (this.isRunning()) {
      this.#killGroup('SIGTERM');
      // A stopped (SIGSTOP) child would never see TERM.
      this.#killGroup('SIGCONT');
      const timer = setTimeout(() => this.#killGroup('SIGKILL'), this.#stopGraceMs);
      await this.exited;
      clearTimeout(timer);
    }
    // What the child left behind in its group goes with it.
    this.#killGroup('SIGKILL');
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    return await this.exited;
  }

  #killGroup(signal: NodeJS.Signals): void {
    const pid = this.#child.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: the group is gone already, which is what is wanted.
    }
  }

  #onOutput(chunk: Buffer): void {
    this.#tail.push(chunk);
    if (this.#logFd !== undefined) writeSync(this.#logFd, chunk);
    if (this.#lineListeners.size === 0) return;
    const lines = (this.#partialLine + chunk.toString('utf8')).split('\n');
    this.#partialLine = (lines.pop() ?? '').slice(-MAX_LINE_LENGTH);
    for (const line of lines) for (const listener of this.#lineListeners) listener(line);
  }

  #closeLog(): void {
    if (this.#logFd === undefined) return;
    closeSync(this.#logFd);
    this.#logFd = undefined;
  }
}

async function waitUntilReady(
  service: ChildService,
  options: ServiceOptions,
  command: string,
): Promise<void> {
  if (options.readyWhen.kind === 'started') return;
  const timeoutMs = options.readyTimeoutMs ?? DEFAULT_READY_TIMEOUT_MS;
  const over = new AbortController();
  const onAbort = () => over.abort();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => over.abort(), timeoutMs);
  let hasEnded = false;
  void service.exited.then(() => {
    hasEnded = true;
    over.abort();
  });
  try {
    if (options.readyWhen.kind === 'line') await lineSeen(service, options.readyWhen.matches, over.signal);
    else await probeAnswered(options.readyWhen, over.signal);
    if (!over.signal.aborted) return;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
  const output = service.output();
  if (hasEnded) {
    throw new ProcessError({ code: 'exitedBeforeReady', command, status: await service.exited, output });
  }
  if (options.signal?.aborted === true) throw new ProcessError({ code: 'aborted', command });
  throw new ProcessError({ code: 'notReady', command, timeoutMs, output });
}

/** Resolves on the first matching line or on abort; the caller looks at the signal. */
function lineSeen(
  service: ChildService,
  matches: (line: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      forget();
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const forget = service.onLine((line) => {
      if (matches(line)) finish();
    });
    signal.addEventListener('abort', finish, { once: true });
    if (signal.aborted) finish();
  });
}

async function probeAnswered(
  ready: Extract<ReadyWhen, { kind: 'probe' }>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // A probe that fails means "not yet": the service is still opening its socket.
    const isReady = await ready.isReady(signal).catch(() => false);
    if (isReady) return;
    await delay(ready.intervalMs ?? DEFAULT_PROBE_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
