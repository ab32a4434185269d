// The one `unshare` that everything of a lab runs in: user (without root), network, mount and pid namespaces. What is in
// it cannot touch the machine, and all of it ends with its first process. See unshare(1), nsenter(1).

import { type RunResult, run } from '../lib/process/run.ts';
import { LabError } from './lab-error.ts';

/** Set inside; `Lab` refuses to work without it. */
const INSIDE_VARIABLE = 'CALICO_TS_INSIDE';

/**
 * First process (pid 1): prepares /run and loopback, starts the command, reaps orphans, passes TERM on, ends with the
 * command's exit code. A fresh /run keeps the machine's sockets out of reach; /run/user stays for XDG_RUNTIME_DIR.
 * Frames that cross the fabric must not pass the machine's own packet filter hooks (bridge-nf-call).
 */
const FIRST_PROCESS = `
set -e
if [ -d /run/user ]; then mount --rbind /run/user /mnt; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/uts /run/lock /run/user
if [ -e /proc/self/fd/0 ] && mountpoint -q /mnt; then mount --rbind /mnt /run/user; umount -l /mnt; fi
ip link set lo up
for each in iptables ip6tables arptables; do
  file=/proc/sys/net/bridge/bridge-nf-call-$each
  if [ -e "$file" ]; then echo 0 > "$file"; fi
done
set +e
exec 3<&0
"$@" <&3 3<&- &
child=$!
exec 3<&-
trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || exit "$code"
done
`;

/** The command that runs `argv` in fresh lab namespaces, for root or for a user. */
export function insideArgv(argv: readonly string[], isRoot: boolean): [string, ...string[]] {
  const namespaces = isRoot ? '-nmpf' : '-Urnmpf';
  return [
    'unshare',
    namespaces,
    '--mount-proc',
    '--kill-child',
    '--',
    'env',
    `${INSIDE_VARIABLE}=1`,
    'sh',
    '-c',
    FIRST_PROCESS,
    'lab-init',
    ...argv,
  ];
}

/** The command that runs `argv` in the namespaces of a lab whose first process has pid `pid` (seen from outside). */
export function enterArgv(
  argv: readonly string[],
  options: { readonly pid: number; readonly isRoot: boolean; readonly cwd?: string },
): [string, ...string[]] {
  const user = options.isRoot ? [] : ['-U', '--preserve-credentials'];
  // nsenter -m leaves us in the root folder.
  const environment = [
    'env',
    ...(options.cwd === undefined ? [] : ['-C', options.cwd]),
    `${INSIDE_VARIABLE}=1`,
  ];
  return ['nsenter', '-t', String(options.pid), ...user, '-n', '-m', '-p', '--', ...environment, ...argv];
}

/** The command, to be run inside, that runs `argv` on the host with this network namespace name. */
export function onHostArgv(argv: readonly string[], netns: string): [string, ...string[]] {
  return ['nsenter', `--net=/run/netns/${netns}`, `--uts=/run/uts/${netns}`, '--', ...argv];
}

export function isInside(env: NodeJS.ProcessEnv): boolean {
  return env[INSIDE_VARIABLE] === '1';
}

/** Throws LabError `noNamespaces` where a lab cannot be started, with what the system said. */
export async function assertNamespaces(isRoot: boolean): Promise<void> {
  const result = await tryNamespaces(isRoot);
  if (result.code !== 0) throw new LabError({ code: 'noNamespaces', detail: result.stderr.trim() });
}

/** True where a lab can be started. */
export async function canHaveNamespaces(isRoot: boolean): Promise<boolean> {
  const result = await tryNamespaces(isRoot).catch(() => undefined);
  return result?.code === 0;
}

function tryNamespaces(isRoot: boolean): Promise<RunResult> {
  return run('unshare', [isRoot ? '-nmpf' : '-Urnmpf', '--mount-proc', 'true']);
}
