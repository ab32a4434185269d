// The one base image. Pulled on a normal machine; only where a pull fails it is made from Debian's packages, under the
// registry's own name, so that one Dockerfile serves everywhere.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runOk } from '../lib/process/run.ts';
import { InstallError } from './debian/install.ts';
import { ensurePackages } from './packages.ts';
import { step } from './progress.ts';
import { runWatched } from './watched.ts';

export const BASE_IMAGE = 'debian:trixie-slim';

const CACHE = join(import.meta.dirname, '..', '.cache');
const TARBALL = join(CACHE, 'base-image.tar');
/** There when the image was made here: then it is ours to remove. */
export const BASE_IMAGE_MARK = join(CACHE, 'base-image.made');
const PULL_TIMEOUT_MS = 300_000;
const MAKE_TIMEOUT_MS = 600_000;

/** What the registry's slim image leaves out as well. */
const LEFT_OUT = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/** Throws InstallError when it can be neither pulled nor made. */
export async function ensureBaseImage(
  env: NodeJS.ProcessEnv,
  options: { readonly mayInstall: boolean },
): Promise<void> {
  if ((await run('docker', ['image', 'inspect', BASE_IMAGE], { env })).code === 0) return;
  const pulled = await step(`pulling ${BASE_IMAGE}`, () =>
    run('docker', ['pull', '--quiet', BASE_IMAGE], { env, timeoutMs: PULL_TIMEOUT_MS }),
  );
  if (pulled.code === 0) return;
  const reason = pulled.stderr.trim().split('\n').at(-1) ?? '';
  if (process.getuid?.() !== 0)
    throw new InstallError(`${BASE_IMAGE} cannot be pulled (${reason}), and only root can make it`);
  console.log(`  it cannot be pulled (${reason}): it is made from Debian's packages`);
  const withTools = await ensurePackages(['base-image'], options);
  await make({ ...env, ...withTools });
}

async function make(env: NodeJS.ProcessEnv): Promise<void> {
  await step(`making ${BASE_IMAGE} from Debian's packages`, async (at) => {
    mkdirSync(CACHE, { recursive: true });
    try {
      const exclude = LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`);
      const argv = ['mmdebstrap', '--variant=minbase', '--include=ca-certificates', ...exclude] as const;
      await runWatched([...argv, 'trixie', TARBALL], { env, timeoutMs: MAKE_TIMEOUT_MS, onLine: at.note });
      at.note('importing it');
      await runOk('docker', ['import', '--change', 'CMD ["bash"]', TARBALL, BASE_IMAGE], {
        env,
        timeoutMs: MAKE_TIMEOUT_MS,
      });
      writeFileSync(BASE_IMAGE_MARK, '');
    } finally {
      rmSync(TARBALL, { force: true });
    }
  });
}
