// Bundles the compiled programs in place: a host starts five of them, and finding and linking a thousand small modules was
// most of what their start cost. Modules they share go to chunks/; libraries and tests go on using the modules.

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Entries whose start matters. Each stays where it was, so paths from one program to another hold. */
const PROGRAMS = [
  'agents/bgp/main',
  'agents/felix/kernel/main',
  'agents/kubelet/main',
  'agents/node/main',
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

/** Throws esbuild's BuildFailure. */
export async function bundlePrograms(dist: string, nodeModules: string): Promise<void> {
  const outdir = `${dist}.bundle`;
  try {
    await build({
      entryPoints: Object.fromEntries(PROGRAMS.map((name) => [name, join(dist, `${name}.js`)])),
      outdir,
      chunkNames: 'chunks/[name]-[hash]',
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      sourcemap: true,
      sourcesContent: false,
      external: EXTERNAL,
      nodePaths: [nodeModules],
      banner: { js: COMMONJS_NAMES },
      logLevel: 'silent',
    });
    cpSync(outdir, dist, { recursive: true });
    cpSync(join(nodeModules, 'etcd3/proto'), join(dist, 'proto'), { recursive: true });
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}
