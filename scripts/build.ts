// `npm run build`: compiles the sources to dist/ and does nothing when they did not change since the last time.

import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lib/process/run.ts';
import { bundlePrograms } from './bundle.ts';
import { step } from './progress.ts';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.stamp');
const BUILD_TIMEOUT_MS = 180_000;

/** The sources do not compile; the message is the compiler's. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
}

/** Compiles into dist/ unless its stamp names exactly these sources. Throws BuildError. */
export async function buildIfChanged(): Promise<void> {
  const hash = hashSources();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return;
  await step('compiling the sources to dist/', async () => {
    // Into a fresh folder: nothing of a deleted source stays, and a failed build leaves the last good one.
    const fresh = join(ROOT, '.cache', `dist-${process.pid}`);
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    const args = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', fresh];
    const result = await run(join(ROOT, 'node_modules/.bin/tsc'), args, {
      cwd: ROOT,
      timeoutMs: BUILD_TIMEOUT_MS,
    });
    if (result.code !== 0) {
      rmSync(fresh, { recursive: true, force: true });
      throw new BuildError(`the sources do not compile:\n${result.stdout}${result.stderr}`);
    }
    await bundlePrograms(fresh, join(ROOT, 'node_modules'));
    writeFileSync(join(fresh, '.stamp'), hash);
    rmSync(DIST, { recursive: true, force: true });
    renameSync(fresh, DIST);
  });
}

function hashSources(): string {
  const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.build.json'), 'utf8')) as {
    include: string[];
  };
  const files = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'scripts/bundle.ts'];
  for (const folder of include) files.push(...globSync(`${folder}/**/*.{ts,json}`, { cwd: ROOT }));
  const hash = createHash('sha256');
  for (const file of files.toSorted())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(ROOT, file)))
      .update('\0');
  return hash.digest('hex');
}

if (process.argv[1] === import.meta.filename) {
  try {
    await buildIfChanged();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
