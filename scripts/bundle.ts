// Bundles programs: a host starts six of them, and finding and linking a thousand small modules was most of what their start
// cost. Modules they share go to chunks/; libraries and tests go on using the modules. `node scripts/bundle.ts FOLDER` makes
// what an image needs, straight from the sources and without checking types.

import { cpSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

/** Entries whose start matters. Each stays where it was, so paths from one program to another hold. */
const PROGRAMS = [
  'agents/bgp/main',
  'agents/felix/flows/reader-thread',
  'agents/felix/kernel/main',
  'agents/kubelet/main',
  'agents/node/main',
  'cli/bgpctl/main',
  'cli/main',
  'controller/main',
  'docker/certs',
] as const;

/** Not in bundles: a native library, and an optional one of ssh2 that is nowhere used. */
const EXTERNAL = ['koffi', 'cpu-features'];

/** CommonJS packages in an ES module ask for these; etcd3 then finds its schema as ../proto from chunks/. */
const COMMONJS_NAMES = `
import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;

/** Small enough to be left as it is where its module was compiled. */
const SINGLE_FILES = ['agents/cni/main'] as const;

const ROOT = join(import.meta.dirname, '..');

/** Bundles the programs compiled to `dist` in place. Throws esbuild's BuildFailure. */
export async function bundlePrograms(dist: string, nodeModules: string): Promise<void> {
  const outdir = `${dist}.bundle`;
  try {
    await bundle(Object.fromEntries(PROGRAMS.map((name) => [name, join(dist, `${name}.js`)])), outdir, {
      nodeModules,
      sourcemap: true,
    });
    cpSync(outdir, dist, { recursive: true });
    cpSync(join(nodeModules, 'etcd3/proto'), join(dist, 'proto'), { recursive: true });
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

async function bundle(
  entryPoints: Readonly<Record<string, string>>,
  outdir: string,
  options: { readonly nodeModules: string; readonly sourcemap: boolean },
): Promise<void> {
  await build({
    entryPoints,
    outdir,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    sourcemap: options.sourcemap,
    sourcesContent: false,
    external: EXTERNAL,
    nodePaths: [options.nodeModules],
    banner: { js: COMMONJS_NAMES },
    logLevel: 'silent',
  });
}

async function bundleSources(outdir: string): Promise<void> {
  const nodeModules = join(ROOT, 'node_modules');
  const programs = [...PROGRAMS, ...SINGLE_FILES];
  await bundle(Object.fromEntries(programs.map((name) => [name, join(ROOT, `${name}.ts`)])), outdir, {
    nodeModules,
    sourcemap: false,
  });
  cpSync(join(nodeModules, 'etcd3/proto'), join(outdir, 'proto'), { recursive: true });
}

if (process.argv[1] === import.meta.filename) await bundleSources(resolve(process.argv[2] ?? 'dist'));
