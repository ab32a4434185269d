// Finds out which Debian packages are missing and gets them: `node scripts/bootstrap.js packages [--no-install] [GROUP…]`.
// The other scripts call ensurePackages and run what follows in the environment it returns.

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { run } from '../lib/process/run.ts';
import {
  type DebianPackage,
  type Evidence,
  isVersionAtLeast,
  PACKAGES,
  type PackageGroup,
} from './debian/catalogue.ts';
import {
  InstallError,
  installIntoSystem,
  libraryFolders,
  programFolders,
  unpackIntoCache,
} from './debian/install.ts';

const ROOT = join(import.meta.dirname, '..');
/** Generous: on a busy machine a first start reads a large program from disk. */
const PROBE_TIMEOUT_MS = 30_000;
const GROUPS: readonly PackageGroup[] = [
  'lab',
  'integration',
  'interop',
  'containers',
  'base-image',
  'bench',
];
const SYSTEM_LIBRARIES = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/lib',
];

/** Environment in which everything of `groups` can be called. Throws InstallError with a sentence for the user. */
export async function ensurePackages(
  groups: readonly PackageGroup[],
  options: { readonly mayInstall: boolean },
): Promise<NodeJS.ProcessEnv> {
  const cacheDir = packageCacheDir();
  const env = packageEnvironment(process.env, cacheDir);
  const missing = await missingPackages(groups, env);
  if (missing.length === 0) return env;
  const names = missing.map((each) => each.name).join(' ');
  const isRoot = process.getuid?.() === 0;
  if (!options.mayInstall)
    throw new InstallError(`missing Debian packages, and --no-install forbids to get them: ${names}`);
  if (!existsSync('/usr/bin/apt-get'))
    throw new InstallError(`no apt-get here: install the like of these yourself: ${names}`);
  console.log(`missing Debian packages (for ${groups.join(', ')}): ${names}`);
  if (isRoot) {
    console.log('they are installed into this system with apt-get; their services are not started');
    await installIntoSystem(missing);
  } else {
    console.log(`not root: they are downloaded and unpacked below ${cacheDir}; no system file changes`);
    mkdirSync(cacheDir, { recursive: true });
    await unpackIntoCache(missing, cacheDir);
  }
  const newEnv = packageEnvironment(process.env, cacheDir);
  const still = await missingPackages(groups, newEnv);
  if (still.length === 0) return newEnv;
  throw new InstallError(`still missing after the installation: ${still.map((each) => each.name).join(' ')}`);
}

/** True if all of `groups` is there, or apt-get may fetch what is not. */
export async function canHavePackages(
  groups: readonly PackageGroup[],
  options: { readonly mayInstall: boolean },
): Promise<boolean> {
  if (options.mayInstall && existsSync('/usr/bin/apt-get')) return true;
  return (await missingPackages(groups, installedEnvironment())).length === 0;
}

/** Environment in which what was installed before can be called; looks for nothing and installs nothing. */
export function installedEnvironment(): NodeJS.ProcessEnv {
  return packageEnvironment(process.env, packageCacheDir());
}

/** `env` with the unpacked cache, if there is one, and the system folders in its search paths. */
function packageEnvironment(env: NodeJS.ProcessEnv, cacheDir: string): NodeJS.ProcessEnv {
  const path = (env['PATH'] ?? '').split(delimiter);
  for (const folder of ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/lib/frr'])
    if (!path.includes(folder)) path.push(folder);
  if (!existsSync(cacheDir)) return { ...env, PATH: path.join(delimiter) };
  const libraries = [...libraryFolders(cacheDir), ...(env['LD_LIBRARY_PATH']?.split(delimiter) ?? [])];
  return {
    ...env,
    PATH: [...path, ...programFolders(cacheDir)].join(delimiter),
    LD_LIBRARY_PATH: libraries.join(delimiter),
  };
}

function packageCacheDir(): string {
  try {
    accessSync(ROOT, constants.W_OK);
    return join(ROOT, '.cache', 'debian');
  } catch {
    return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'calico-ts', 'debian');
  }
}

async function missingPackages(
  groups: readonly PackageGroup[],
  env: NodeJS.ProcessEnv,
): Promise<readonly DebianPackage[]> {
  const wanted = PACKAGES.filter((each) => each.groups.some((group) => groups.includes(group)));
  const checks = wanted.map(async (each) => {
    const found = await Promise.all(each.evidence.map((evidence) => isThere(evidence, env)));
    return found.every(Boolean) ? [] : [each];
  });
  return (await Promise.all(checks)).flat();
}

async function isThere(evidence: Evidence, env: NodeJS.ProcessEnv): Promise<boolean> {
  switch (evidence.kind) {
    case 'library': {
      const folders = [...(env['LD_LIBRARY_PATH']?.split(delimiter) ?? []), ...SYSTEM_LIBRARIES];
      return folders.some((folder) => existsSync(join(folder, evidence.file)));
    }
    case 'engine':
      // Installed but not running is a matter of starting it (see engine.ts).
      return (await succeeds('docker', ['info'], env)) || isInPath('dockerd', env);
    case 'compose':
      return await succeeds('docker', ['compose', 'version'], env);
    case 'program': {
      if (!isInPath(evidence.name, env)) return false;
      if (evidence.atLeast === undefined) return true;
      const result = await run(evidence.name, evidence.atLeast.args, {
        env,
        timeoutMs: PROBE_TIMEOUT_MS,
      }).catch(() => undefined);
      return result !== undefined && isVersionAtLeast(`${result.stdout}${result.stderr}`, evidence.atLeast);
    }
  }
}

function isInPath(program: string, env: NodeJS.ProcessEnv): boolean {
  const folders = (env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)));
}

async function succeeds(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  const result = await run(program, args, { env, timeoutMs: PROBE_TIMEOUT_MS }).catch(() => undefined);
  return result?.code === 0;
}

async function main(args: readonly string[]): Promise<void> {
  const groups = args.filter((arg) => !arg.startsWith('--'));
  const unknown = groups.filter((group) => !GROUPS.some((known) => known === group));
  if (unknown.length > 0)
    throw new InstallError(`unknown group ${unknown.join(' ')}; there are: ${GROUPS.join(' ')}`);
  const wanted = groups.length === 0 ? GROUPS.slice(0, 3) : GROUPS.filter((group) => groups.includes(group));
  const env = await ensurePackages(wanted, { mayInstall: !args.includes('--no-install') });
  console.log(`everything is there for: ${wanted.join(', ')}`);
  if (args.includes('--print-env')) {
    console.log(`PATH=${env['PATH']}\nLD_LIBRARY_PATH=${env['LD_LIBRARY_PATH'] ?? ''}`);
  }
}

if (process.argv[1] === import.meta.filename) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    if (!(error instanceof InstallError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  });
}
