// What a run says of itself: when, on what, with which versions.

import { cpus, loadavg, release } from 'node:os';
import { run } from '../../lib/process/run.ts';

export interface MachineFacts {
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** `programs`: asked by `--version`. */
export async function machineFacts(programs: readonly string[]): Promise<MachineFacts> {
  const versions = await Promise.all(
    programs.map(async (program) => [program, await versionOf(program)] as const),
  );
  return {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model ?? '',
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
    versions: Object.fromEntries(versions),
  };
}

async function versionOf(program: string): Promise<string> {
  const result = await run(program, ['--version']).catch(() => undefined);
  return result?.stdout.split('\n')[0] ?? 'not there';
}

/** Those of `all` that a comma-separated list names; all without one. */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: string | undefined,
  what: string,
): readonly T[] {
  if (names === undefined) return all;
  return names.split(',').map((name) => {
    const found = all.find((each) => each.name === name);
    if (found !== undefined) return found;
    throw new Error(`no ${what} ${name}; there are: ${all.map((each) => each.name).join(', ')}`);
  });
}
