// A long-lived `ip -force -batch -`, or `bridge` (iproute2): lines act as they arrive, 0.1 ms each and a fork for none of them. Each batch
// ends with a line that must fail, as `ip` names every failed line on standard error by its number: that tells which, and the end.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

export interface LineFailure {
  /** Index into the batch, from 0. */
  readonly line: number;
  /** What `ip` said of it. */
  readonly message: string;
}

export type IpBatchErrorType =
  | { readonly code: 'notStarted'; readonly errno: string }
  /** `ip` ended before it had tried every line: some of its commands do so where the kernel refuses them (`neigh`). */
  | { readonly code: 'ended'; readonly said: string }
  | { readonly code: 'timedOut'; readonly timeoutMs: number }
  | { readonly code: 'stopped' };

/** How much of the batch was done is unknown, `stopped` and `notStarted` aside: nothing was. */
class IpBatchError extends Error {
  readonly type: IpBatchErrorType;

  constructor(type: IpBatchErrorType, cause?: unknown) {
    super(describe(type), cause === undefined ? undefined : { cause });
    this.name = 'IpBatchError';
    this.type = type;
  }
}

export interface IpBatchOptions {
  /** `bridge` takes what `ip` does not: forwarding entries. `ip` if left out. */
  readonly program?: 'ip' | 'bridge';
  /** Where no address in a line tells it: in a batch no line can. */
  readonly family?: 6;
  /**
   * What happens when `ip` ends in the middle. `fail`: run() rejects. `tryEach`: each line is tried by itself, so that only
   * the one that ends `ip` fails; what was done before is done again, so the lines must bear that.
   */
  readonly whenEnded: 'fail' | 'tryEach';
  /** Milliseconds for a batch, and one more for each of its lines; 10 s if left out. Then `ip` is killed. */
  readonly timeoutMs?: number;
}

const END_OF_BATCH = 'link show dev cali-batch-end';
const FAILED = /^Command failed .*:(\d+)$/;
const DEFAULT_TIMEOUT_MS = 10_000;
const STOP_MS = 2000;
/** Of what `ip` says about one line; the rest is dropped. */
const MAX_SAID = 4096;

type Ip = ChildProcessByStdio<Writable, null, Readable>;

interface Batch {
  readonly firstLine: number;
  readonly endLine: number;
  readonly failures: LineFailure[];
  readonly resolve: (failures: readonly LineFailure[]) => void;
  readonly reject: (error: IpBatchError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Batches run one after the other; `ip` is started when it is needed, and anew after it has ended. */
export class IpBatch {
  readonly #argv: readonly [string, ...string[]];
  readonly #whenEnded: IpBatchOptions['whenEnded'];
  readonly #timeoutMs: number;
  #child: Ip | undefined;
  #linesWritten = 0;
  #batch: Batch | undefined;
  #partial = '';
  #said = '';
  #queue: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor({ program = 'ip', family, whenEnded, timeoutMs = DEFAULT_TIMEOUT_MS }: IpBatchOptions) {
    this.#argv = [program, ...(family === undefined ? [] : [`-${family}`]), '-force', '-batch', '-'];
    this.#whenEnded = whenEnded;
    this.#timeoutMs = timeoutMs;
  }

  /** Tries every line, in order; resolves with those that failed. Rejects with IpBatchError. */
  run(lines: readonly string[]): Promise<readonly LineFailure[]> {
    const next = this.#queue.then(() => this.#run(lines));
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /** Waits for the batch in flight and ends `ip`. */
  async stop(): Promise<void> {
    await this.#queue;
    this.#isStopped = true;
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    child.stdin.end();
    await gone;
    clearTimeout(kill);
  }

  /**
   * After a failure, or a change of links, the next batch gets a new `ip`: an old one goes on using the number of an interface
   * that has been taken away, or made anew under the same name.
   */
  async #run(lines: readonly string[]): Promise<readonly LineFailure[]> {
    if (this.#isStopped) throw new IpBatchError({ code: 'stopped' });
    const failures = await this.#tryAll(lines);
    if (failures.length === 0 && !lines.some((line) => /^link (add|del) /.test(line))) return failures;
    this.#child?.stdin.end();
    this.#child = undefined;
    return failures;
  }

  async #tryAll(lines: readonly string[]): Promise<readonly LineFailure[]> {
    try {
      return await this.#tryTogether(lines);
    } catch (error) {
      if (this.#whenEnded === 'fail' || saidAtEnd(error) === undefined) throw error;
    }
    const failures: LineFailure[] = [];
    for (const [line, text] of lines.entries()) {
      const message = await this.#tryAlone(text);
      if (message !== undefined) failures.push({ line, message });
    }
    return failures;
  }

  /** What `ip` said of the line; undefined if it was done. */
  async #tryAlone(text: string): Promise<string | undefined> {
    try {
      const [failure] = await this.#tryTogether([text]);
      return failure?.message;
    } catch (error) {
      const said = saidAtEnd(error);
      if (said === undefined) throw error;
      return said;
    }
  }

  #tryTogether(lines: readonly string[]): Promise<readonly LineFailure[]> {
    if (lines.length === 0) return Promise.resolve([]);
    const child = this.#child ?? this.#start();
    const firstLine = this.#linesWritten + 1;
    this.#linesWritten += lines.length + 1;
    const endLine = this.#linesWritten;
    const timeoutMs = this.#timeoutMs + lines.length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        this.#fail(child, { code: 'timedOut', timeoutMs });
      }, timeoutMs);
      this.#batch = { firstLine, endLine, failures: [], resolve, reject, timer };
      child.stdin.write(`${lines.join('\n')}\n${END_OF_BATCH}\n`);
    });
  }

  #start(): Ip {
    const [program, ...args] = this.#argv;
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    this.#child = child;
    this.#linesWritten = 0;
    this.#partial = '';
    this.#said = '';
    // EPIPE: 'close' tells the rest.
    child.stdin.on('error', () => undefined);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (this.#child === child) this.#onStderr(text);
    });
    child.once('error', (cause: NodeJS.ErrnoException) =>
      this.#fail(child, { code: 'notStarted', errno: cause.code ?? 'unknown' }, cause),
    );
    // Not `exit`: what it said last comes before `close`.
    child.once('close', () => {
      if (this.#child === child)
        this.#fail(child, { code: 'ended', said: `${this.#said} ${this.#partial}`.trim() });
    });
    return child;
  }

  #fail(child: Ip, type: IpBatchErrorType, cause?: unknown): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    const batch = this.#batch;
    this.#batch = undefined;
    clearTimeout(batch?.timer);
    batch?.reject(new IpBatchError(type, cause));
  }

  #onStderr(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = (lines.pop() ?? '').slice(0, MAX_SAID);
    for (const line of lines) this.#onLine(line);
  }

  #onLine(line: string): void {
    const number = FAILED.exec(line)?.[1];
    const batch = this.#batch;
    if (number === undefined || batch === undefined) {
      this.#said = `${this.#said} ${line}`.trim().slice(0, MAX_SAID);
      return;
    }
    const message = this.#said;
    this.#said = '';
    const failed = Number(number);
    if (failed < batch.endLine) {
      batch.failures.push({ line: failed - batch.firstLine, message });
      return;
    }
    this.#batch = undefined;
    clearTimeout(batch.timer);
    batch.resolve(batch.failures);
  }
}

/** Undefined if it was something else that went wrong: no line's fault. */
function saidAtEnd(error: unknown): string | undefined {
  return error instanceof IpBatchError && error.type.code === 'ended' ? error.type.said : undefined;
}

function describe(type: IpBatchErrorType): string {
  switch (type.code) {
    case 'notStarted':
      return `ip could not be started (${type.errno})`;
    case 'ended':
      return `ip ended in the middle of a batch${type.said === '' ? '' : `: ${type.said}`}`;
    case 'timedOut':
      return `ip did not finish a batch within ${type.timeoutMs} ms`;
    case 'stopped':
      return 'ip is not started any more';
  }
}
