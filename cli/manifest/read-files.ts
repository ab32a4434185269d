// Reads what `-f` names: files, folders (`.yaml`, `.yml`, `.json`; one level unless recursive), `-` for standard input.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError, usageError } from '../cli-error.ts';
import { type ManifestObject, type ManifestText, parseManifest } from './manifest.ts';

export interface FileOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly skipEmpty?: boolean;
}

const EXTENSIONS = /\.(yaml|yml|json)$/i;
const MAX_DEPTH = 32;

export interface ManifestInput {
  readonly readStdin: () => Promise<string>;
  /** Takes lines with what others would read otherwise. */
  readonly err: (text: string) => void;
}

/**
 * Every object in the order of files and documents. Throws CliError with all that cannot be read. What others would read
 * otherwise is told of files that are not among `told`, which this adds to: absolute paths.
 */
export async function readObjects(
  options: FileOptions,
  { readStdin, err }: ManifestInput,
  told = new Set<string>(),
): Promise<ManifestObject[]> {
  const names = options.filename ?? [];
  if (names.length === 0) throw usageError('name what to read with -f FILE, -f DIRECTORY or -f -');
  const problems: string[] = [];
  const warnings: string[] = [];
  const objects: ManifestObject[] = [];
  for (const name of names) {
    const found: ManifestObject[] = [];
    for (const text of await readTexts(name, options.recursive === true, readStdin)) {
      const path = resolve(text.source);
      found.push(...parseManifest(text, problems, told.has(path) ? [] : warnings));
      told.add(path);
    }
    if (found.length === 0 && problems.length === 0 && options.skipEmpty !== true) throw emptyError(name);
    objects.push(...found);
  }
  for (const warning of warnings) err(`${warning}\n`);
  if (problems.length > 0) throw manifestError(problems);
  return objects;
}

/** Says every problem, and that nothing was stored. */
export function manifestError(problems: readonly string[]): CliError {
  const title = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return new CliError({ code: 'manifest', problems }, `${problems.join('\n')}\n${title}; nothing was stored`);
}

function emptyError(name: string): CliError {
  const where = name !== '-' && statSync(name).isDirectory() ? 'directory' : 'file';
  return usageError(`no resources specified in ${where} ${name}`, 'use --skip-empty if that is fine');
}

async function readTexts(
  name: string,
  recursive: boolean,
  readStdin: () => Promise<string>,
): Promise<ManifestText[]> {
  if (name === '-') return [{ source: '-', text: await readStdin() }];
  try {
    const files = statSync(name).isDirectory() ? filesIn(name, recursive ? MAX_DEPTH : 1) : [name];
    return files.map((source) => ({ source, text: readFileSync(source, 'utf8') }));
  } catch (cause) {
    const reason = (cause as { code?: unknown }).code === 'ENOENT' ? 'it does not exist' : String(cause);
    throw new CliError({ code: 'usage' }, `cannot read ${name}: ${reason}`, { cause });
  }
}

function filesIn(directory: string, depth: number): string[] {
  if (depth === 0) return [];
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return filesIn(path, depth - 1);
      return EXTENSIONS.test(entry.name) ? [path] : [];
    });
}
