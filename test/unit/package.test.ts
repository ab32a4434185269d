// The package as its users get it: packed, unpacked elsewhere without a network; what docs/library.md shows is checked by the
// compiler and run, and so is the program. On the machine of `npm test` itself: the test image has no npm.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runOk } from '../../lib/process/run.ts';

const ROOT = join(import.meta.dirname, '../..');
const BUILD_MS = 240_000;
const CHECK_MS = 120_000;

let directory: string;
/** Names of files in the tarball. */
let packed: readonly string[];

interface PackageJson {
  readonly name: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageJson;
const installed = (...path: readonly string[]): string =>
  join(directory, 'node_modules', manifest.name, ...path);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ct-package-'));
  await runOk(process.execPath, ['scripts/build.ts'], { cwd: ROOT, timeoutMs: BUILD_MS });
  const argv = ['pack', '--offline', '--json', '--pack-destination', directory];
  await runOk('npm', argv, { cwd: ROOT, timeoutMs: BUILD_MS });
  await install(readdirSync(directory).find((name) => name.endsWith('.tgz')) ?? 'no tarball');
}, 2 * BUILD_MS);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** As npm lays it out; the packages that it depends on are ours, one link each, and no others. */
async function install(tarball: string): Promise<void> {
  const path = join(directory, tarball);
  mkdirSync(installed(), { recursive: true });
  packed = (await runOk('tar', ['-tzf', path])).stdout.trim().split('\n').toSorted();
  await runOk('tar', ['-xzf', path, '-C', installed(), '--strip-components=1']);
  for (const name of [...Object.keys(manifest.dependencies), '@types/node']) {
    const target = join(directory, 'node_modules', name);
    mkdirSync(join(target, '..'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), target);
  }
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'user', type: 'module' }));
}

/** The example of the page below this heading. */
function example(entry: string): string {
  const page = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
  const section = page.split('\n## ').find((text) => text.startsWith(`\`${manifest.name}/${entry}\``));
  const code = /^```ts\n(.*?)^```$/ms.exec(section ?? '')?.[1];
  if (code === undefined) throw new Error(`docs/library.md has no example of ${entry}`);
  return code;
}

async function use(entry: string): Promise<string> {
  const file = join(directory, `${entry}.ts`);
  writeFileSync(file, example(entry));
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'];
  const module = ['--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  await runOk(join(ROOT, 'node_modules/.bin/tsc'), [...options, ...module, file], {
    cwd: directory,
    timeoutMs: CHECK_MS,
  });
  return (await runOk(process.execPath, [file], { cwd: directory, timeoutMs: CHECK_MS })).stdout;
}

describe('the package', () => {
  it('holds what was built and says what it is, and nothing else', () => {
    const beside = packed.filter((name) => !name.startsWith('package/dist/'));
    expect(beside).toEqual(['package/LICENSE', 'package/README.md', 'package/package.json']);
    const entries = Object.values(manifest.exports).flatMap(Object.values<string>);
    for (const file of [...entries, ...Object.values(manifest.bin)])
      expect(packed).toContain(join('package', file));
    expect(packed.filter((name) => /\.map$|\.stamp$|\/bench\//.test(name))).toEqual([]);
  });

  it(
    'is a BGP speaker for TypeScript',
    async () => {
      expect(await use('bgp')).toBe('b has heard of 2001:db8:65::/48 from a peer\nkeepalive\n');
    },
    CHECK_MS,
  );

  it(
    'is a policy engine for TypeScript',
    async () => {
      const [web, job] = (await use('policy')).trim().split('\n');
      expect(web).toMatch(/^10\.65\.0\.1: allowed: .*knp\.default\.db|^10\.65\.0\.1: allowed: .*shop\/db/);
      expect(job).toMatch(/^10\.65\.0\.3: denied: /);
    },
    CHECK_MS,
  );

  it('lets nobody in by another way', async () => {
    const script = `await import('${manifest.name}/dist/lib/net/ip.js').catch((error) => console.log(error.code));`;
    const argv = ['--input-type=module', '-e', script];
    expect((await runOk(process.execPath, argv, { cwd: directory })).stdout).toBe(
      'ERR_PACKAGE_PATH_NOT_EXPORTED\n',
    );
  });

  it.each(['calicoctl', 'bgpctl', 'bgpd'])('brings %s', async (name) => {
    const { stdout } = await runOk(process.execPath, [installed(manifest.bin[name] ?? ''), '--help'], {
      cwd: directory,
    });
    expect(stdout.toLowerCase().startsWith(`usage: ${name} `)).toBe(true);
  });
});
