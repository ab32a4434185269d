// `npm run demo`: the mini cluster as containers, and the story played in it. Says what it installs before it does. Without
// an engine and without a way to get one it says why and plays in the lab. `npm run demo -- --help` lists the options.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { textNarrator } from '../lab/story/narrator.ts';
import { SceneError, StoryError } from '../lab/story/scene-error.ts';
import { playStory } from '../lab/story/story.ts';
import { readCommandLine, tellUsage } from '../lib/config/usage.ts';
import { ProcessError } from '../lib/process/process-error.ts';
import { run } from '../lib/process/run.ts';
import { BASE_IMAGE, BASE_IMAGE_MARK } from './base-image.ts';
import { buildImages, Cluster, imagesOf } from './cluster.ts';
import { InstallError } from './debian/install.ts';
import { answeringEngine, type Engine, ensureEngine, stopOwnEngine } from './engine.ts';
import { runInherited } from './inside.ts';
import { TEST_IMAGE } from './test-image.ts';

/** As in compose.yaml. */
const HOSTS = 3;
const ROOT = join(import.meta.dirname, '..');
const STATE = join(ROOT, '.cache', 'demo');
const INSTALLED = join(STATE, 'installed-packages');
const PLAYED_IN_LAB = join(STATE, 'played-in-lab');
const LAB = [process.execPath, join(ROOT, 'scripts/lab.ts')] as const;

const HELP = `npm run demo [-- OPTIONS]
  --no-install    do not install a Docker engine or other Debian packages
  --down          remove the demo's containers, networks and volumes, or end its lab; stop the engine if the demo started it
  --images        with --down: the images as well
A second cluster beside the first: set COMPOSE_PROJECT_NAME, CALICO_TS_NETWORK (172.29.40) and CALICO_TS_API_PORT (6443),
and CALICO_TS_TAG (latest) where it is built from other sources.`;

const AFTER_FAILURE = `What to do next:
  npm run demo                                               (plays the story again on the same cluster)
  docker compose exec controller kubectl get nodes,pods -A -o wide
  docker compose exec controller calicoctl events            (what happened, in order)
  docker compose logs --tail 50
  npm run demo -- --down                                     (remove it all)`;

async function main(args: readonly string[]): Promise<number> {
  const { values } = readCommandLine(HELP, {
    args: [...args],
    options: {
      'no-install': { type: 'boolean', default: false },
      down: { type: 'boolean', default: false },
      images: { type: 'boolean', default: false },
    },
  });
  if (values.down) return await down(values.images);
  return await up({ mayInstall: !values['no-install'] });
}

async function up(options: { readonly mayInstall: boolean }): Promise<number> {
  const startedAt = performance.now();
  console.log(
    'calico-ts: etcd, Redis, a controller and three hosts as containers; pods as processes on the hosts',
  );
  const engine = await engineOrReason(options);
  if (typeof engine === 'string' && process.platform !== 'linux') throw new InstallError(engine);
  if (typeof engine === 'string') {
    console.log(`${engine}: playing in the lab instead, whose hosts are network namespaces`);
    return await playInLab(options);
  }
  await recordInstallations(() => buildImages(engine, options));
  const cluster = new Cluster(engine);
  // Hosts that somebody added stay.
  const hosts = await cluster.hostCount();
  await (hosts > HOSTS ? cluster.up('--scale', `calico-node=${hosts}`) : cluster.up());
  const kubeconfig = await cluster.writeKubeconfig(STATE);
  console.log(`cluster ready after ${seconds(startedAt)} s`);
  await playStory(
    cluster.storyCluster(),
    textNarrator((line) => console.log(line)),
  );
  printWhereToLook(kubeconfig, seconds(startedAt));
  return 0;
}

/** An engine, or one sentence on why there is none and none can be had. */
async function engineOrReason(options: { readonly mayInstall: boolean }): Promise<Engine | string> {
  const before = await answeringEngine(process.env);
  if (before === undefined && options.mayInstall && process.getuid?.() === 0)
    console.log(
      'no Docker engine answers: docker.io and docker-compose are installed from Debian if they are missing, and an engine is started',
    );
  else if (before !== undefined) console.log(`the Docker engine that answers is used (${before})`);
  try {
    return await recordInstallations(() => ensureEngine(options));
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    return error.message;
  }
}

async function playInLab(options: { readonly mayInstall: boolean }): Promise<number> {
  mkdirSync(STATE, { recursive: true, mode: 0o700 });
  writeFileSync(PLAYED_IN_LAB, '');
  return await runInherited([...LAB, ...(options.mayInstall ? [] : ['--no-install'])], process.env);
}

/** Ends the lab if the demo played in one. */
async function endOwnLab(): Promise<number> {
  if (!existsSync(PLAYED_IN_LAB)) return 0;
  const code = await runInherited([...LAB, '--down'], process.env);
  if (code === 0) rmSync(PLAYED_IN_LAB);
  return code;
}

/** Debian packages that `work` adds are written down, so that --down can name what stays. */
async function recordInstallations<T>(work: () => Promise<T>): Promise<T> {
  const before = await installedPackages();
  try {
    return await work();
  } finally {
    const added = (await installedPackages()).filter((name) => !before.includes(name));
    if (added.length > 0) {
      mkdirSync(STATE, { recursive: true, mode: 0o700 });
      writeFileSync(INSTALLED, `${[...recordedInstallations(), ...added].join('\n')}\n`);
    }
  }
}

function recordedInstallations(): readonly string[] {
  return existsSync(INSTALLED) ? readFileSync(INSTALLED, 'utf8').split('\n').filter(Boolean) : [];
}

async function installedPackages(): Promise<readonly string[]> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const format = '${db:Status-Status} ${Package}\n';
  const result = await run('dpkg-query', ['-W', '-f', format]).catch(() => undefined);
  const lines = result?.stdout.split('\n') ?? [];
  return lines.filter((line) => line.startsWith('installed ')).map((line) => line.slice('installed '.length));
}

async function down(withImages: boolean): Promise<number> {
  const labCode = await endOwnLab();
  const version = await answeringEngine(process.env);
  if (version === undefined) {
    console.log('no Docker engine answers, so no container of the demo runs');
    return labCode;
  }
  const engine: Engine = { env: process.env, version, isStartedHere: false };
  await new Cluster(engine).down();
  if (withImages) await removeImages();
  rmSync(join(STATE, 'kubeconfig'), { force: true });
  if (await stopOwnEngine()) console.log('the engine that was started here is stopped');
  const packages = recordedInstallations();
  if (packages.length > 0)
    console.log(`Debian packages that were installed here and stay: ${packages.join(' ')}`);
  return labCode;
}

async function removeImages(): Promise<void> {
  const madeHere = existsSync(BASE_IMAGE_MARK) ? [BASE_IMAGE] : [];
  for (const image of [...imagesOf(process.env), TEST_IMAGE, ...madeHere]) {
    const result = await run('docker', ['image', 'rm', image]);
    if (result.code === 0) console.log(`removed ${image}`);
  }
  rmSync(BASE_IMAGE_MARK, { force: true });
  // What later builds of the same name left without one.
  await run('docker', ['image', 'prune', '--force', '--filter', 'label=dev.calico-ts=image']);
  console.log("the builder's cache stays: docker builder prune empties it");
}

function printWhereToLook(kubeconfig: string, elapsed: string): void {
  console.log(`
Every scene checked out (${elapsed} s in all); the cluster stays up. Where to look next:
  docker compose exec controller kubectl get nodes,pods -A -o wide
  docker compose exec etcd etcdctl get --prefix /calico --keys-only
  docker compose exec calico-node ip route                   (proto 80: our workloads; proto 81: by bgpd)
  docker compose exec calico-node nft list table inet calico
  docker compose exec controller calicoctl get nodes
  KUBECONFIG=${kubeconfig} kubectl get pods -A      (from this machine)
  docker compose up -d --wait --scale calico-node=5          (two more hosts)
  npm run demo -- --down                                     (remove it all)`);
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(1);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if ([InstallError, ProcessError, SceneError, StoryError].some((kind) => error instanceof kind)) {
    console.error(`\n${(error as Error).message}`);
    if (error instanceof StoryError) console.error(AFTER_FAILURE);
    process.exitCode = 1;
  } else process.exitCode = tellUsage(error);
}
