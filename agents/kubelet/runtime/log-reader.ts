// Reads a container's log file from a point on, and goes on with it while it grows.

import { type FileHandle, open } from 'node:fs/promises';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import { type LogOptions, selectLine, tailOffset } from './log-lines.ts';

export interface LogSource {
  readonly path: string;
  /** Whether more may come. */
  readonly isRunning: () => Promise<boolean>;
}

const CHUNK_BYTES = 256 * 1024;
const FOLLOW_POLL_MS = 100;
/** Lines from the end are looked for in this much of the file. */
const MAX_TAIL_BYTES = 16 * 1024 * 1024;
/** What a container says without a line feed is cut here. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Text for the caller, in order; ends with the file, or with the container when following. */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const file = await open(source.path, 'r');
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  try {
    for await (const line of lines(file, source, options, signal)) {
      const text = selectLine(line, options);
      if (text === undefined) continue;
      const bytes = Buffer.from(text);
      yield bytes.length > left ? bytes.subarray(0, left) : bytes;
      left -= bytes.length;
      if (left <= 0) return;
    }
  } finally {
    await file.close();
  }
}

async function* lines(
  file: FileHandle,
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let position = await startOffset(file, options.tailLines);
  let pending: Buffer = Buffer.alloc(0);
  while (!signal.aborted) {
    // Asked before the read: what was written by then is read below.
    const mayGrow = options.follow && (await source.isRunning());
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) {
      if (!mayGrow) break;
      position = Math.min(position, (await file.stat()).size);
      await waitFor(FOLLOW_POLL_MS, signal);
      continue;
    }
    position += bytesRead;
    pending = Buffer.concat([pending, buffer.subarray(0, bytesRead)]);
    const end = pending.lastIndexOf(10);
    if (end >= 0) {
      yield* pending.subarray(0, end).toString('utf8').split('\n');
      pending = pending.subarray(end + 1);
    }
    if (pending.length > MAX_LINE_BYTES) {
      yield pending.toString('utf8');
      pending = Buffer.alloc(0);
    }
  }
  if (pending.length > 0) yield pending.toString('utf8');
}

async function startOffset(file: FileHandle, tailLines: number | undefined): Promise<number> {
  if (tailLines === undefined) return 0;
  const { size } = await file.stat();
  const from = Math.max(0, size - MAX_TAIL_BYTES);
  const content = Buffer.alloc(size - from);
  await file.read(content, 0, content.length, from);
  return from + tailOffset(content, tailLines);
}
