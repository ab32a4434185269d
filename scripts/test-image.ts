// The test image: the target "test" of the one Dockerfile, for machines that cannot run the suites with a kernel themselves.
// Built where an engine answers; a suite is a container of its own that is gone afterwards.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lib/process/run.ts';
import { ensureBaseImage } from './base-image.ts';
import { buildNote } from './cluster.ts';
import type { Engine } from './engine.ts';
import { runInherited } from './inside.ts';
import { step } from './progress.ts';
import { runWatched } from './watched.ts';

export const TEST_IMAGE = 'calico-ts-test:latest';

const ROOT = join(import.meta.dirname, '..');
const BUILD_TIMEOUT_MS = 1_200_000;

/**
 * What the suites need, as tried: namespaces and mounts (SYS_ADMIN, SYS_CHROOT), links, routes and nftables (NET_ADMIN),
 * ping and tcpdump (NET_RAW), low ports (NET_BIND_SERVICE), other users to become (SETUID, SETGID, SETPCAP) and files to
 * give them (CHOWN, FOWNER, DAC_OVERRIDE), their processes to end (KILL).
 */
const CAPABILITIES = [
  'NET_ADMIN',
  'SYS_ADMIN',
  'SYS_CHROOT',
  'NET_RAW',
  'NET_BIND_SERVICE',
  'SETUID',
  'SETGID',
  'SETPCAP',
  'CHOWN',
  'FOWNER',
  'DAC_OVERRIDE',
  'KILL',
] as const;

/** Throws InstallError when it cannot be built. Without a change of sources it takes a second or two. */
export async function buildTestImage(
  engine: Engine,
  options: { readonly mayInstall: boolean },
): Promise<void> {
  await ensureBaseImage(engine.env, options);
  const secrets = [
    ...secret('proxy-ca', engine.env['CALICO_TS_PROXY_CA'] ?? engine.env['NODE_EXTRA_CA_CERTS']),
    ...secret('npmrc', engine.env['CALICO_TS_NPMRC']),
  ];
  const target = ['-f', 'docker/Dockerfile', '--target', 'test', '-t', TEST_IMAGE];
  await step('building the test image', (at) =>
    runWatched(['docker', 'build', '--progress', 'plain', ...secrets, ...target, '.'], {
      env: { ...engine.env, DOCKER_BUILDKIT: '1' },
      timeoutMs: BUILD_TIMEOUT_MS,
      cwd: ROOT,
      onLine: (line) => at.note(buildNote(line)),
    }),
  );
}

function secret(id: string, file: string | undefined): readonly string[] {
  return file === undefined || file === '' || !existsSync(file) ? [] : ['--secret', `id=${id},src=${file}`];
}

/** Runs `scripts/test.ts` with these arguments in a container; output is handed through, the exit code is the command's. */
export async function runInTestImage(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const name = `calico-ts-test-${process.pid}-${Math.round(performance.now())}`;
  const options = [
    ...['--rm', '--init', '--name', name, '--network', 'none', '--tmpfs', '/tmp:exec,mode=1777'],
    ...['--cap-drop', 'ALL', ...CAPABILITIES.flatMap((each) => ['--cap-add', each])],
    // /proc/sys is written to, and a fresh /proc mounted.
    ...['--security-opt', 'systempaths=unconfined', '--security-opt', 'apparmor=unconfined'],
  ];
  try {
    const command = ['node', 'scripts/test.ts', ...args];
    return await runInherited(['docker', 'run', ...options, TEST_IMAGE, ...command], env);
  } finally {
    // Where the client was killed, the container is still there.
    await run('docker', ['rm', '--force', name], { env });
  }
}
