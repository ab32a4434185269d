// The images that ship with the kubelet: `busybox`, and `probe`, which is busybox with a small server and client for
// reachability tests. They run as processes; any other image needs a Docker engine (docs/kubelet.md "Images"). Each image
// carries util-linux' setpriv with the libraries it needs: it takes the privileges away that a container must not have.

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { runOk } from '../../../lib/process/run.ts';
import type { ImageVerdict } from './container-runtime.ts';
import { PROBE_SCRIPT } from './probe-script.ts';

export type BuiltInImage = 'busybox' | 'probe';

const NAMES: Readonly<Record<string, BuiltInImage>> = {
  busybox: 'busybox',
  'docker.io/busybox': 'busybox',
  'docker.io/library/busybox': 'busybox',
  probe: 'probe',
  'calico-ts/probe': 'probe',
};
/** What an image runs when the pod names no command. */
const ENTRY_POINTS: Readonly<Record<BuiltInImage, readonly string[]>> = {
  busybox: ['sh'],
  probe: ['probe', 'serve'],
};

/** Tag and digest do not matter: there is one of each. */
export function builtInImage(reference: string): BuiltInImage | undefined {
  const name = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
}

/** Command line of a container: `command` replaces the entry point, `args` what comes after it. */
export function commandLine(
  image: BuiltInImage,
  command: readonly string[] | undefined,
  args: readonly string[] | undefined,
): readonly string[] {
  if (command !== undefined && command.length > 0) return [...command, ...(args ?? [])];
  if (args === undefined || args.length === 0) return ENTRY_POINTS[image];
  // The entry point of busybox is a default command, which arguments replace; that of probe is a program.
  return image === 'busybox' ? args : ['probe', ...args];
}

export function judgeBuiltIn(reference: string): ImageVerdict {
  const image = builtInImage(reference);
  if (image !== undefined) return { ok: true, imageId: `built-in:${image}` };
  const known = [...new Set(Object.values(NAMES))].join(' and ');
  return {
    ok: false,
    reason: 'ErrImagePull',
    message:
      `image ${JSON.stringify(reference)} cannot be run on this node: it runs ${known} only, as no Docker engine is ` +
      'configured (compose.docker.yaml, or the setting dockerSocket)',
  };
}

/** Where setpriv lives in an image's `bin`. */
const CONFINE = '.confine';
/** What a container as root may do: Docker's default set without what only image builds need. */
const CAPABILITIES = [
  'chown',
  'dac_override',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'net_bind_service',
  'net_raw',
  'sys_chroot',
];

/** The command with a container's privileges only, as it is called inside a container. */
export function confinedCommand(command: readonly string[]): readonly string[] {
  const folder = `/bin/${CONFINE}`;
  const bounding = ['-all', ...CAPABILITIES.map((name) => `+${name}`)].join(',');
  return [
    `${folder}/ld.so`,
    '--library-path',
    folder,
    `${folder}/setpriv`,
    '--no-new-privs',
    `--bounding-set=${bounding}`,
    ...command,
  ];
}

/** Copies a program with its loader and libraries, so that it runs where only the folder is. */
async function copyWithLibraries(program: string, target: string): Promise<void> {
  mkdirSync(target, { recursive: true, mode: 0o755 });
  const copy = (source: string, name: string): void => {
    copyFileSync(source, join(target, name));
    chmodSync(join(target, name), 0o755);
  };
  copy(program, basename(program));
  const { stdout } = await runOk('ldd', [program]);
  for (const [path] of stdout.matchAll(/\/\S+/g)) {
    const name = basename(path);
    copy(path, name.startsWith('ld-') ? 'ld.so' : name);
  }
}

/** Folders of the built-in images, made once per state directory. */
export async function installImages(directory: string, busybox: string, setpriv: string): Promise<void> {
  const { stdout } = await runOk(busybox, ['--list']);
  const applets = stdout.split('\n').filter((name) => /^[a-z0-9[_-]+$/.test(name) && name !== 'busybox');
  for (const image of ['busybox', 'probe'] as const) {
    const target = join(directory, image);
    if (existsSync(target)) continue;
    // Made aside and moved: a kubelet that dies here leaves no half of an image.
    const partial = join(directory, `.${image}.${process.pid}`);
    const bin = join(partial, 'bin');
    mkdirSync(bin, { recursive: true, mode: 0o755 });
    copyFileSync(busybox, join(bin, 'busybox'));
    chmodSync(join(bin, 'busybox'), 0o755);
    for (const applet of applets) symlinkSync('busybox', join(bin, applet));
    await copyWithLibraries(setpriv, join(bin, CONFINE));
    if (image === 'probe') writeFileSync(join(bin, 'probe'), PROBE_SCRIPT, { mode: 0o755 });
    renameSync(partial, target);
  }
}
