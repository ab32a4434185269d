// A long-lived `ip -force -batch -`: lines act as they arrive, 0.1 ms each (docs/dataplane.md "Kernel writer"). Each batch ends
// with a line that must fail, as `ip` names every failed line on stderr by its number: that tells what failed, and the end.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { LineFailure } from '../../../lib/protocol/kernel-writer.ts';

const END_OF_BATCH = 'link show dev cali-batch-end';
const FAILED = /^Command failed .*:(\d+)$/;

interface Batch {
  readonly firstLine: number;
  readonly endLine: number;
  readonly failures: LineFailure[];
  readonly resolve: (failures: readonly LineFailure[]) => void;
  readonly reject: (error: Error) => void;
}

/** `ip` ended before it had tried every line: some of its commands do so where the kernel refuses them (`neigh`). */
class EndedEarlyError extends Error {
  readonly said: string;

  constructor(said: string) {
    super('ip ended in the middle of a batch');
    this.said = said;
  }
}

/** One batch at a time: the caller waits for the answer before it hands in the next. */
export class IpBatch {
  #child: ChildProcessByStdio<Writable, null, Readable> | undefined;
  #linesWritten = 0;
  #batch: Batch | undefined;
  #partial = '';
  #said: string[] = [];

  /**
   * Tries every line; resolves with those that failed. After a failure the next batch gets a new `ip`: an old one goes on using
   * the number of an interface that somebody has taken away, or made anew under the same name.
   */
  async run(lines: readonly string[]): Promise<readonly LineFailure[]> {
    const failures = await this.#tryAll(lines);
    if (failures.length > 0) this.#restart();
    return failures;
  }

  /** Where one line ends `ip`, each is tried by itself: what was done before is only done again. */
  async #tryAll(lines: readonly string[]): Promise<readonly LineFailure[]> {
    try {
      return await this.#tryTogether(lines);
    } catch (error) {
      if (!(error instanceof EndedEarlyError)) throw error;
    }
    const failures: LineFailure[] = [];
    for (const [index, line] of lines.entries()) {
      try {
        const [failure] = await this.#tryTogether([line]);
        if (failure !== undefined) failures.push({ ...failure, line: index });
      } catch (error) {
        if (!(error instanceof EndedEarlyError)) throw error;
        failures.push({ line: index, message: error.said });
      }
    }
    return failures;
  }

  #tryTogether(lines: readonly string[]): Promise<readonly LineFailure[]> {
    if (lines.length === 0) return Promise.resolve([]);
    const child = this.#child ?? this.#start();
    const firstLine = this.#linesWritten + 1;
    this.#linesWritten += lines.length + 1;
    const endLine = this.#linesWritten;
    return new Promise((resolve, reject) => {
      this.#batch = { firstLine, endLine, failures: [], resolve, reject };
      child.stdin.write(`${lines.join('\n')}\n${END_OF_BATCH}\n`);
    });
  }

  /** The next batch gets a new `ip`. */
  #restart(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.stdin.end();
  }

  stop(): void {
    this.#child?.stdin.end();
  }

  #start(): ChildProcessByStdio<Writable, null, Readable> {
    const child = spawn('ip', ['-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
    this.#child = child;
    this.#linesWritten = 0;
    this.#partial = '';
    this.#said = [];
    child.stdin.on('error', () => undefined);
    child.stderr.on('data', (chunk: Buffer) => {
      if (this.#child === child) this.#onStderr(chunk.toString('utf8'));
    });
    const ended = (): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const batch = this.#batch;
      this.#batch = undefined;
      batch?.reject(new EndedEarlyError([...this.#said, this.#partial].join(' ').trim()));
    };
    // That it could not be started at all is no line's fault.
    child.once('error', (error) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const batch = this.#batch;
      this.#batch = undefined;
      batch?.reject(new Error('ip could not be started', { cause: error }));
    });
    // Not `exit`: what it said last comes before `close`.
    child.once('close', ended);
    return child;
  }

  #onStderr(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) this.#onLine(line);
  }

  #onLine(line: string): void {
    const number = FAILED.exec(line)?.[1];
    const batch = this.#batch;
    if (number === undefined || batch === undefined) {
      if (line !== '') this.#said.push(line);
      return;
    }
    const message = this.#said.join(' ');
    this.#said = [];
    const failed = Number(number);
    if (failed < batch.endLine) {
      batch.failures.push({ line: failed - batch.firstLine, message });
      return;
    }
    this.#batch = undefined;
    batch.resolve(batch.failures);
  }
}
