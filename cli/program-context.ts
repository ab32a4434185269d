// What a command gets from its process: where to write, what to read, what to connect to.

import type { Connections } from './connection/connect.ts';

export interface ProgramContext {
  /** Data, to standard output. */
  readonly out: (text: string) => void;
  /** Everything else, to standard error. */
  readonly err: (text: string) => void;
  readonly readStdin: () => Promise<string>;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  /** By the global options of the command line at hand. */
  readonly connections: () => Connections;
  /** The exit code, unless the command throws; the highest wins. */
  readonly setExitCode: (code: number) => void;
  /** The exit code if the command throws; 1 if not set. */
  readonly setFailureCode: (code: number) => void;
}
