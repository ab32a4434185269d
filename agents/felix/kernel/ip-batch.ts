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

/** One batch at a time: the caller waits for the answer before it hands in the next. */
export class IpBatch {
  #child: ChildProcessByStdio<Writable, null, Readable> | undefined;
  #linesWritten = 0;
  #batch: Batch | undefined;
  #partial = '';
  #said: string[] = [];

  /** Tries every line; resolves with those that failed. */
  run(lines: readonly string[]): Promise<readonly LineFailure[]> {
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
    child.stderr.on('data', (chunk: Buffer) => this.#onStderr(chunk.toString('utf8')));
    const ended = (cause?: Error): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const batch = this.#batch;
      this.#batch = undefined;
      batch?.reject(new Error('ip ended in the middle of a batch', { cause }));
    };
    child.once('error', ended);
    child.once('exit', () => ended());
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
