// Runs a command in fresh lab namespaces and ends with its exit code: `node scripts/inside.ts jest test/lab/lab.test.ts`.
// Needs root or user namespaces; nothing of it outlives the command.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { assertNamespaces, insideArgv } from '../lab/inside.ts';

/** Runs `argv` inside with the terminal handed through; resolves to its exit code. */
export async function runInside(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const isRoot = process.getuid?.() === 0;
  await assertNamespaces(isRoot);
  return await runInherited(insideArgv(argv, isRoot), env);
}

/** Runs a command with the terminal handed through; resolves to its exit code (128 + signal if killed). */
export async function runInherited(
  [program, ...args]: [string, ...string[]],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const child = spawn(program, args, { stdio: 'inherit', env });
  // The terminal's INT reaches the child by itself; it decides when to end.
  const ignore = () => undefined;
  const forward = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore);
  process.on('SIGTERM', forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      );
    });
  } finally {
    process.off('SIGINT', ignore);
    process.off('SIGTERM', forward);
  }
}

if (process.argv[1] === import.meta.filename) {
  process.exitCode = await runInside(process.argv.slice(2), process.env);
}
