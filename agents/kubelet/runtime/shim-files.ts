// Reads what a shim left in the folder of a container's attempt (shim-script.ts).

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isSameProcessAlive, type ProcessIdentity } from '../../../lib/process/identity.ts';
import type { ContainerState } from './container-runtime.ts';

/** Process from a line of `/proc/PID/stat`; undefined while it is not whole. */
export function parseStatLine(line: string): ProcessIdentity | undefined {
  const pid = Number(/^\d+/.exec(line)?.[0]);
  // The program's name, field 2, may itself hold blanks and brackets.
  const startTime = line.slice(line.lastIndexOf(')') + 2).split(' ')[19];
  return Number.isInteger(pid) && pid > 0 && startTime !== undefined ? { pid, startTime } : undefined;
}

/** Exit code as a shim wrote it; undefined while the line is not whole. */
export function parseExitCode(text: string): number | undefined {
  return /^\d{1,3}\n/.test(text) ? Number.parseInt(text, 10) : undefined;
}

/** 128 + 9: what a process that was killed answers. */
const KILLED = 137;

export interface ShimFiles {
  readonly shim: ProcessIdentity | undefined;
  readonly init: ProcessIdentity | undefined;
  readonly state: ContainerState;
}

/** `id` is what the state is to carry. A shim that is gone without a word was killed with its container. */
export function readShimFiles(directory: string, id: string): ShimFiles {
  const shimText = readText(join(directory, 'shim'));
  if (shimText === undefined) return { shim: undefined, init: undefined, state: { kind: 'absent' } };
  const shim = parseStatLine(shimText);
  const init = parseStatLine(readText(join(directory, 'init')) ?? '');
  const startedAt = modifiedAt(join(directory, 'init')) ?? modifiedAt(join(directory, 'shim')) ?? new Date(0);
  const isAlive = shim === undefined || isSameProcessAlive(shim);
  // Read after the look at the process: a shim that ends in between has written its exit code by then.
  const exitCode = parseExitCode(readText(join(directory, 'exit')) ?? '');
  if (exitCode === undefined && isAlive) return { shim, init, state: { kind: 'running', startedAt, id } };
  const finishedAt = modifiedAt(join(directory, 'exit')) ?? modifiedAt(join(directory, 'log')) ?? startedAt;
  const error = setupError(directory, init !== undefined);
  const code = exitCode ?? KILLED;
  const state: ContainerState = {
    kind: 'exited',
    exitCode: code,
    startedAt,
    finishedAt,
    id,
    reason: exitReason(code, error !== undefined, exitCode === undefined),
    ...(error === undefined ? {} : { message: error.trim() }),
  };
  return { shim, init, state };
}

/** What kept the container from being set up. */
function setupError(directory: string, hasInit: boolean): string | undefined {
  return readText(join(directory, 'error')) ?? (hasInit ? undefined : readText(join(directory, 'setup')));
}

function exitReason(code: number, hasError: boolean, isLost: boolean): string {
  if (hasError) return 'StartError';
  if (isLost) return 'ContainerStatusUnknown';
  return code === 0 ? 'Completed' : 'Error';
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function modifiedAt(path: string): Date | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtime;
}
