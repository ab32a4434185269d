// Runs one command to its end with bounded output and a way out: time limit and AbortSignal, TERM and then KILL.

import { type ChildProcess, spawn } from 'node:child_process';
import { OutputBuffer } from './output-buffer.ts';
import { type ExitStatus, ProcessError } from './process-error.ts';

/** What `run` may be told; everything is optional. */
export interface RunOptions {
  /** Milliseconds until the child is stopped and `timedOut` thrown; 30 s when not given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** Bytes kept of each of stdout and stderr; the rest is read and dropped. 4 MiB when not given. */
  readonly maxOutputBytes?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** How the command ended. A non-zero code is a result, not an error: see `runOk`. */
export interface RunResult extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes of output that were over `maxOutputBytes`. */
  readonly droppedBytes: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
const KILL_AFTER_MS = 2_000;

/** Runs `command` and waits for its end. Throws ProcessError `spawnFailed`, `timedOut` or `aborted`. */
export async function run(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const text = [command, ...args].join(' ');
  if (options.signal?.aborted === true) throw new ProcessError({ code: 'aborted', command: text });
  const child = spawn(command, [...args], {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const maxBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  const stdout = new OutputBuffer(maxBytes, 'head');
  const stderr = new OutputBuffer(maxBytes, 'head');
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A child that ends without reading its input closes the pipe under us: its exit code says enough.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input);

  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { status, stopped } = await waitForEnd(child, text, timeoutMs, options.signal);
  if (stopped === 'aborted') throw new ProcessError({ code: 'aborted', command: text });
  if (stopped === 'timedOut') {
    const output = `${stdout}${stderr}`;
    throw new ProcessError({ code: 'timedOut', command: text, timeoutMs, output });
  }
  const droppedBytes = stdout.droppedBytes + stderr.droppedBytes;
  return { ...status, stdout: stdout.toString(), stderr: stderr.toString(), droppedBytes };
}

/** As `run`, but anything other than exit code 0 throws ProcessError `failed`. */
export async function runOk(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.code === 0) return result;
  throw new ProcessError({
    code: 'failed',
    command: [command, ...args].join(' '),
    status: { code: result.code, signal: result.signal },
    output: result.stderr === '' ? result.stdout : result.stderr,
  });
}

interface End {
  readonly status: ExitStatus;
  readonly stopped: 'no' | 'timedOut' | 'aborted';
}

function waitForEnd(
  child: ChildProcess,
  text: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<End> {
  return new Promise((resolve, reject) => {
    let stopped: End['stopped'] = 'no';
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (why: 'timedOut' | 'aborted') => {
      if (stopped !== 'no') return;
      stopped = why;
      child.kill('SIGTERM');
      killTimer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    };
    const onAbort = () => stop('aborted');
    const timer = setTimeout(() => stop('timedOut'), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    const cleanUp = () => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      signal?.removeEventListener('abort', onAbort);
    };
    const end = (code: number | null, killedBy: NodeJS.Signals | null) => {
      cleanUp();
      resolve({ status: { code, signal: killedBy }, stopped });
    };
    child.once('error', (cause: NodeJS.ErrnoException) => {
      cleanUp();
      reject(
        new ProcessError({ code: 'spawnFailed', command: text, errno: cause.code ?? 'unknown' }, { cause }),
      );
    });
    child.once('close', end);
    // A grandchild may hold the pipes open after the child was stopped: do not wait for them then.
    child.once('exit', (code, killedBy) => {
      if (stopped === 'no') return;
      child.stdout?.destroy();
      child.stderr?.destroy();
      end(code, killedBy);
    });
  });
}
