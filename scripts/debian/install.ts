// Installs missing packages: as root with apt-get, otherwise downloaded and unpacked into a cache folder so that no system
// file changes. Every plan is simulated first (see refusePlan), and nothing that is installed gets started.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runOk } from '../../lib/process/run.ts';
import { spawnService } from '../../lib/process/service.ts';
import { step } from '../progress.ts';
import {
  type AptPlan,
  AptProgress,
  otherSuiteSource,
  parseAptPlan,
  pinPreferences,
  refusePlan,
} from './apt.ts';
import { type DebianPackage, UNITS_BY_PACKAGE } from './catalogue.ts';

const TRIXIE = 'trixie';
const APT_TIMEOUT_MS = 600_000;
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const NONINTERACTIVE = { DEBIAN_FRONTEND: 'noninteractive' };

/** A set of packages that one apt-get call may take together. */
interface Batch {
  readonly packages: readonly DebianPackage[];
  readonly options: readonly string[];
}

/** Thrown with a sentence for the user: what cannot be installed, why, and what to do. */
export class InstallError extends Error {
  override readonly name = 'InstallError';
}

/** As root: into the system. Adds the trixie source where one of the packages needs it. */
export async function installIntoSystem(missing: readonly DebianPackage[]): Promise<void> {
  const codename = debianCodename();
  const batches = toBatches(missing, codename);
  if (batches.some((batch) => batch.options.includes(TRIXIE))) {
    writeTrixieSource('/etc/apt/sources.list.d', '/etc/apt/preferences.d', codename);
  }
  await update([]);
  for (const batch of batches) {
    const plan = await simulate(batch, []);
    const names = batch.packages.map((each) => each.name);
    await step(
      `installing ${names.join(' ')} (${plan.installs.length} packages with dependencies)`,
      async (at) => {
        const progress = new AptProgress(plan.installs.length);
        await withoutServiceStart(() =>
          runWatched(['apt-get', '-y', '-q', ...batch.options, 'install', ...names], (line) =>
            at.note(progress.onLine(line)),
          ),
        );
      },
    );
  }
  await disableUnits(missing);
}

/** Without root: downloads and unpacks into `cacheDir`; `programFolders` and `libraryFolders` say where things are. */
export async function unpackIntoCache(missing: readonly DebianPackage[], cacheDir: string): Promise<void> {
  const codename = debianCodename();
  const options = privateAptOptions(cacheDir, codename);
  await update(options);
  for (const batch of toBatches(missing, codename)) {
    const plan = await simulate(batch, options);
    const archives = join(cacheDir, 'archives');
    rmSync(archives, { recursive: true, force: true });
    mkdirSync(archives, { recursive: true });
    const wanted = plan.installs.map((each) => `${each.name}=${each.version}`);
    await step(`downloading ${wanted.length} packages into ${cacheDir}`, async (at) => {
      const progress = new AptProgress(wanted.length);
      at.note(`0 of ${wanted.length}`);
      const download = ['apt-get', ...options, 'download', ...wanted] as const;
      await runWatched([...download], (line) => at.note(progress.onLine(line)), archives);
      for (const file of readdirSync(archives)) {
        at.note(`unpacking ${file}`);
        await runOk('dpkg-deb', ['-x', join(archives, file), unpackedRoot(cacheDir)]);
      }
    });
    rmSync(archives, { recursive: true, force: true });
  }
}

/** Folders of an unpacked cache that belong in PATH. */
export function programFolders(cacheDir: string): readonly string[] {
  return ['usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin', 'usr/lib/frr'].map((each) =>
    join(unpackedRoot(cacheDir), each),
  );
}

/** Folders of an unpacked cache that belong in LD_LIBRARY_PATH. */
export function libraryFolders(cacheDir: string): readonly string[] {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return [`usr/lib/${triplet}`, `lib/${triplet}`, `usr/lib/${triplet}/frr`].map((each) =>
    join(unpackedRoot(cacheDir), each),
  );
}

function unpackedRoot(cacheDir: string): string {
  return join(cacheDir, 'root');
}

function debianCodename(): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const id = /^ID=(\S+)/m.exec(release)?.[1];
  const codename = /^VERSION_CODENAME=(\S+)/m.exec(release)?.[1];
  if (id === 'debian' && codename !== undefined) return codename;
  throw new InstallError('packages can be installed by this command on Debian only');
}

/** Debian 12's own packages first, then each that comes from trixie with its own options. */
function toBatches(packages: readonly DebianPackage[], codename: string): readonly Batch[] {
  const isOld = codename === 'bookworm';
  const fromTrixie = (each: DebianPackage) => isOld && each.fromTrixie === true;
  const lean = ['--no-install-recommends'];
  const batches: Batch[] = [
    { packages: packages.filter((each) => !fromTrixie(each)), options: lean },
    {
      packages: packages.filter((each) => fromTrixie(each) && each.withRecommended !== true),
      options: [...lean, '-t', TRIXIE],
    },
    {
      packages: packages.filter((each) => fromTrixie(each) && each.withRecommended === true),
      options: ['-t', TRIXIE],
    },
  ];
  return batches.filter((batch) => batch.packages.length > 0);
}

async function update(options: readonly string[]): Promise<void> {
  await step('reading the package lists', (at) =>
    runWatched(['apt-get', '-q', ...options, 'update'], (line) => at.note(line)),
  );
}

async function simulate(batch: Batch, options: readonly string[]): Promise<AptPlan> {
  const names = batch.packages.map((each) => each.name);
  const args = ['--simulate', '-q', ...options, ...batch.options, 'install', ...names];
  const result = await run('apt-get', args, { timeoutMs: 60_000 });
  if (result.code !== 0) {
    throw new InstallError(`apt-get cannot install ${names.join(' ')}:\n${result.stdout}${result.stderr}`);
  }
  const plan = parseAptPlan(result.stdout);
  const reason = refusePlan(plan);
  if (reason !== undefined) throw new InstallError(`not installing ${names.join(' ')}: ${reason}`);
  return plan;
}

function readSources(): readonly { file: string; text: string }[] {
  const folder = '/etc/apt/sources.list.d';
  const parts = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return [...parts, '/etc/apt/sources.list']
    .filter((file) => /\.(sources|list)$/.test(file) && existsSync(file))
    .map((file) => ({ file, text: readFileSync(file, 'utf8') }));
}

function writeTrixieSource(sourceFolder: string, preferencesFolder: string, codename: string): void {
  const source = otherSuiteSource(readSources(), codename, TRIXIE);
  if (source === undefined) {
    throw new InstallError(`no Debian source for ${codename} in /etc/apt: add one for ${TRIXIE} by hand`);
  }
  writeFileSync(join(sourceFolder, 'calico-ts-trixie.sources'), source);
  writeFileSync(join(preferencesFolder, 'calico-ts-trixie'), pinPreferences(TRIXIE));
}

/** apt options that keep every file it writes below `cacheDir`; what is installed is still read from the system. */
function privateAptOptions(cacheDir: string, codename: string): readonly string[] {
  const sources = join(cacheDir, 'sources');
  const preferences = join(cacheDir, 'preferences');
  rmSync(sources, { recursive: true, force: true });
  for (const folder of [
    sources,
    preferences,
    join(cacheDir, 'lists/partial'),
    join(cacheDir, 'apt/archives/partial'),
  ]) {
    mkdirSync(folder, { recursive: true });
  }
  mkdirSync(unpackedRoot(cacheDir), { recursive: true });
  for (const [index, { file, text }] of readSources().entries()) {
    const suffix = file.endsWith('.sources') ? 'sources' : 'list';
    writeFileSync(join(sources, `system-${index}.${suffix}`), text);
  }
  if (codename === 'bookworm') writeTrixieSource(sources, preferences, codename);
  const settings = {
    'Dir::State::lists': join(cacheDir, 'lists'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(cacheDir, 'apt'),
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': sources,
    'Dir::Etc::preferencesparts': preferences,
    'Debug::NoLocking': '1',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

async function runWatched(
  argv: [string, ...string[]],
  onLine: (line: string) => void,
  cwd?: string,
): Promise<void> {
  const service = await spawnService({
    argv,
    env: { ...process.env, ...NONINTERACTIVE },
    readyTimeoutMs: APT_TIMEOUT_MS,
    ...(cwd === undefined ? {} : { cwd }),
    readyWhen: { kind: 'started' },
    onLine,
  });
  const timer = setTimeout(() => void service.stop(), APT_TIMEOUT_MS);
  const status = await service.exited;
  clearTimeout(timer);
  if (status.code !== 0) throw new InstallError(`${argv.join(' ')} failed:\n${service.output()}`);
}

/** Debian's policy-rc.d: exit code 101 forbids invoke-rc.d, and deb-systemd-invoke, to start anything. */
async function withoutServiceStart(work: () => Promise<void>): Promise<void> {
  const isOurs = !existsSync(POLICY_FILE);
  if (isOurs) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await work();
  } finally {
    if (isOurs) rmSync(POLICY_FILE, { force: true });
  }
}

async function disableUnits(installed: readonly DebianPackage[]): Promise<void> {
  if (!existsSync('/run/systemd/system')) return;
  const units = installed.flatMap((each) => UNITS_BY_PACKAGE[each.name] ?? []);
  if (units.length > 0) await run('systemctl', ['disable', ...units]);
}
