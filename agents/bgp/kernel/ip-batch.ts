// One long-lived `ip -force -batch -`: acts line by line as lines arrive, a fork for none of them. Errors come on
// standard error with the line's number; a line that is no command marks the end of a batch on the same stream, so
// that order is certain.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

export interface LineFailure {
  /** Index into the batch. */
  readonly index: number;
  readonly message: string;
}

class IpBatchError extends Error {
  readonly type: { readonly code: 'exited' | 'timeout' | 'stopped' };

  constructor(code: 'exited' | 'timeout' | 'stopped') {
    super(`ip -batch: ${code}`);
    this.name = 'IpBatchError';
    this.type = { code };
  }
}

const TIMEOUT_MS = 10_000;
const MAX_STDERR = 4 * 1024 * 1024;

interface Pending {
  readonly firstLine: number;
  readonly lines: number;
  readonly resolve: (failures: readonly LineFailure[]) => void;
  readonly reject: (error: IpBatchError) => void;
  readonly timer: NodeJS.Timeout;
}

/** One batch at a time; the process is started when needed, and anew after it died. */
export class IpBatch {
  #child: ChildProcessWithoutNullStreams | undefined;
  #linesWritten = 0;
  #stderr = '';
  #pending: Pending | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  /** Runs the commands in order, each whatever became of the others; resolves with those that failed. */
  run(commands: readonly string[]): Promise<readonly LineFailure[]> {
    const next = this.#queue.then(() => this.#run(commands));
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /** Waits for the batch in flight and ends the process. */
  async stop(): Promise<void> {
    await this.#queue;
    this.#isStopped = true;
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const kill = setTimeout(() => child.kill('SIGKILL'), 2000);
    child.stdin.end();
    await gone;
    clearTimeout(kill);
  }

  #run(commands: readonly string[]): Promise<readonly LineFailure[]> {
    if (this.#isStopped) return Promise.reject(new IpBatchError('stopped'));
    if (commands.length === 0) return Promise.resolve([]);
    const child = this.#child ?? this.#start();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#abandon('timeout'), TIMEOUT_MS);
      this.#pending = { firstLine: this.#linesWritten + 1, lines: commands.length, resolve, reject, timer };
      this.#linesWritten += commands.length + 1;
      child.stdin.write(`${commands.join('\n')}\nend-of-batch\n`);
    });
  }

  #start(): ChildProcessWithoutNullStreams {
    const child = spawn('ip', ['-force', '-batch', '-']);
    this.#child = child;
    this.#linesWritten = 0;
    this.#stderr = '';
    child.stdin.on('error', () => undefined); // EPIPE: 'close' tells the rest
    child.stdout.resume();
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (child === this.#child) this.#receive(text);
    });
    child.on('error', () => undefined);
    child.on('close', () => {
      if (child === this.#child) this.#abandon('exited');
    });
    return child;
  }

  #receive(text: string): void {
    this.#stderr += text;
    const pending = this.#pending;
    if (this.#stderr.length > MAX_STDERR) this.#abandon('exited');
    if (pending === undefined) return;
    if (!this.#stderr.includes(`Command failed -:${pending.firstLine + pending.lines}\n`)) return;
    const failures = parseFailures(this.#stderr, pending.firstLine, pending.lines);
    this.#stderr = '';
    this.#pending = undefined;
    clearTimeout(pending.timer);
    pending.resolve(failures);
  }

  #abandon(code: 'exited' | 'timeout'): void {
    const child = this.#child;
    this.#child = undefined;
    child?.kill('SIGKILL');
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.reject(new IpBatchError(code));
  }
}

/** Every message up to its `Command failed -:LINE` belongs to that line; lines count from the process's start. */
export function parseFailures(stderr: string, firstLine: number, lines: number): LineFailure[] {
  const failures: LineFailure[] = [];
  let messages: string[] = [];
  for (const line of stderr.split('\n')) {
    const failed = /^Command failed -:([0-9]+)$/.exec(line);
    if (failed === null) {
      if (line !== '') messages.push(line);
      continue;
    }
    const index = Number(failed[1]) - firstLine;
    if (index >= 0 && index < lines) failures.push({ index, message: messages.join('; ') });
    messages = [];
  }
  return failures;
}
