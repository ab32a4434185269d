// The programs of a lab: which run on every node and which on the fabric beside etcd, how each is called and how one sees
// that it is ready. Adding a program to the lab is adding a row here.

import { join } from 'node:path';
import type { ReadyWhen } from '../lib/process/service.ts';

/** What a row may use to build its command. */
export interface ProcessContext {
  /** The host's name; "fabric" for programs that run beside etcd. */
  readonly host: string;
  readonly address: string;
  readonly address6: string;
  /** The host's state directory; all of a program's paths derive from it. */
  readonly stateDir: string;
  readonly etcdEndpoint: string;
  /** Command that runs one of the repository's programs, e.g. `program('agents/node/main')`. */
  readonly program: (path: string) => readonly [string, ...string[]];
}

export interface ProcessRow {
  readonly name: string;
  readonly argv: (context: ProcessContext) => readonly [string, ...string[]];
  readonly env?: (context: ProcessContext) => Readonly<Record<string, string>>;
  readonly readyWhen: (context: ProcessContext) => ReadyWhen;
  readonly readyTimeoutMs?: number;
}

/** Run on every node, in this order; each is waited for before the next one starts. */
export const NODE_PROCESSES: readonly ProcessRow[] = [];

/** Run once, on the fabric's service address, after etcd. */
export const FABRIC_PROCESSES: readonly ProcessRow[] = [];

/** Whether the repository's programs run compiled (as in images) or straight from their sources. */
export type ProgramForm = 'dist' | 'source';

/** Builds `ProcessContext.program` for a package root and form. Compiled programs share a compile cache. */
export function programCommand(
  packageRoot: string,
  form: ProgramForm,
  node: string,
): ProcessContext['program'] {
  return (path) =>
    form === 'dist'
      ? [node, join(packageRoot, 'dist', `${path}.js`)]
      : [node, join(packageRoot, `${path}.ts`)];
}
