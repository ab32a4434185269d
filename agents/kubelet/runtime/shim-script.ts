// The shim of a container that runs as a process (docs/kubelet.md "The shim"): busybox shell, no Node, a session of its own,
// so that the container, its output and its exit code outlive the kubelet. It leaves these files in the attempt's folder:
//   shim   /proc/PID/stat of the shim, which leads the session and the process group
//   init   the same of the container's first process, as the host sees it; filled when its files are its own, which is when
//          the container has started
//   log    output, a line each, `TIME TEXT`
//   error  why the container could not be set up
//   setup  what unshare said before the container's first process took over
//   code   the exit code, as that process saw it
//   exit   the same, or 137 if it was killed; modified when the container ended
// `environment` lies there before it starts: the command's variables, which are no argument of anything, as everybody may read those.

/**
 * Outer part, in the host's namespaces. Arguments: folder, network namespace ('' for the host's), host name, folder of the
 * image, working folder, seconds since the epoch at boot, then the command. BUSYBOX, UNSHARE and
 * NSENTER are the paths of programs: by name, busybox takes its own, which know less. Timestamps are
 * made by awk from /proc/uptime: `ts` does not write a line before its buffer is full.
 */
export const SHIM_SCRIPT = `#!/bin/busybox sh
dir=$1 netns=$2 hostname=$3 image=$4 workdir=$5 boot=$6
shift 6
read -r stat < /proc/self/stat
echo "$stat" > "$dir/shim"
mkfifo "$dir/out"
awk -v "boot=$boot" -f "$SHIM_DIR/log.awk" < "$dir/out" >> "$dir/log" 2> /dev/null &
logger=$!
enter=
if [ -n "$netns" ]; then enter="$NSENTER --net=$netns"; fi
$enter "$UNSHARE" --pid --mount --uts --ipc --fork --kill-child -- \\
  "$BUSYBOX" sh "$SHIM_DIR/init.sh" "$dir" "$hostname" "$image" "$workdir" "$@" \\
  < /dev/null > "$dir/out" 2> "$dir/setup"
wait "$logger"
rm -f "$dir/out"
code=
if [ -e "$dir/code" ]; then read -r code < "$dir/code"; fi
echo "\${code:-137}" > "$dir/exit"
`;

/**
 * Inner part: first process of the container's own process namespace. Makes a root folder in memory with the image's
 * programs, drops the host's files, starts the command, and passes TERM on. When it ends, the kernel ends everything in
 * the container; the exit code goes out through a file opened before the host's files went away.
 *
 * The new root is moved over the old one, as a host may itself be a container, where Docker's seccomp profile forbids
 * pivot_root. What leads out of a chroot ends in the mount on top, and taking that away needs a capability that commands
 * lack. The host's other mounts are let go: they would keep alive network namespaces of pods that are gone.
 *
 * Folders that the pod names are made inside the new root: on the way there may be links of the pod's own, in a volume.
 */
export const INIT_SCRIPT = `exec 2>&1
dir=$1 hostname=$2 image=$3 workdir=$4
shift 4
read -r stat < /proc/self/stat
fail() { echo "$1 failed" > "$dir/error"; exit 128; }
hostname "$hostname" || fail "setting the host name"
root=$dir/root
mkdir -p "$root"
mount -t tmpfs -o mode=755,size=64m tmpfs "$root" || fail "mounting the root folder"
cd "$root" || fail "entering the root folder"
mkdir bin dev dev/shm etc home proc root sys tmp usr usr/bin var var/tmp var/www
chmod 1777 tmp var/tmp dev/shm
mount --bind "$image/bin" bin && mount -o remount,bind,ro bin || fail "binding the image's programs"
mount -t proc proc proc || fail "mounting /proc"
for each in sys sysrq-trigger irq bus fs; do
  [ -e "proc/$each" ] || continue
  mount --bind "proc/$each" "proc/$each" && mount -o remount,bind,ro "proc/$each" || fail "protecting /proc/$each"
done
for each in null zero full random urandom tty; do
  : > "dev/$each"
  mount --bind "/dev/$each" "dev/$each" || fail "binding /dev/$each"
done
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
echo 'root:x:0:' > etc/group
echo "$hostname" > etc/hostname
printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost ip6-localhost\\n' > etc/hosts
: > etc/resolv.conf
if [ -e "$dir/mounts" ]; then
  while IFS='	' read -r source target mode; do
    mkdir .volume && mount --bind "$source" .volume || fail "binding the folder of $target"
    chroot . /bin/sh -c '
mkdir -p -- "$1" && mount --bind /.volume "$1" || exit 1
[ "$2" = rw ] || mount -o remount,bind,ro /.volume "$1"
' init "$target" "$mode" < /dev/null || fail "mounting $target"
    umount .volume && rmdir .volume || fail "letting go the folder of $target"
  done < "$dir/mounts"
fi
chroot . /bin/sh -c 'mkdir -p -- "$1"' init "$workdir" || fail "making the working folder $workdir"
exec 3< "$dir/environment" 8> "$dir/init" 9> "$dir/code"
for each in $(cut -d ' ' -f 2 /proc/self/mounts); do
  case "$each" in / | /proc | /proc/* | "$root"/*) continue ;; esac
  case "$root/" in "$each"/*) continue ;; esac
  umount -l "$each" 2> /dev/null
done
mount -o move "$root" / || fail "changing the root folder"
exec chroot . /bin/sh -c '
echo "$1" >&8
exec 8>&-
cd "$2" || exit 128
shift 2
"$@" < /dev/null 9>&- &
child=$!
exec 3<&-
trap "kill -TERM $child 2> /dev/null" TERM
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2> /dev/null || break
done
echo "$code" >&9
exit "$code"
' init "$stat" "$workdir" "$@"
`;

/**
 * Started with a container's privileges, as the container may have written to the file meanwhile: takes the variables from
 * file descriptor 3 and becomes the command.
 */
export const LOAD_ENVIRONMENT = 'eval "$(cat <&3)"; exec 3<&-; exec "$@"';

/** What LOAD_ENVIRONMENT reads. A name that the shell has no variable for is left to env. */
export function renderEnvironment(env: readonly (readonly [name: string, value: string])[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = env.map(([name, value]) =>
    /^[A-Za-z_]\w*$/.test(name)
      ? `export ${name}=${quote(value)}\n`
      : `set -- /bin/env ${quote(`${name}=${value}`)} "$@"\n`,
  );
  return ['unset SHLVL PWD OLDPWD\n', ...lines].join('');
}

/** Stamps each line with the time of day in hundredths of a second, UTC. */
export const LOG_SCRIPT = `{
  getline uptime < "/proc/uptime"; close("/proc/uptime"); split(uptime, part, " ")
  now = boot + part[1]; whole = int(now)
  printf "%s.%02d %s\\n", strftime("%Y-%m-%dT%H:%M:%S", whole, 1), (now - whole) * 100, $0
  fflush()
}
`;

/** Makes the network namespace of a pod at the file `$1`: loopback up, ping and low ports for everybody. */
export const SANDBOX_SCRIPT = `
set -e
ip link set lo up
cd /proc/sys/net/ipv4
echo 0 > ip_unprivileged_port_start
echo '0 2147483647' > ping_group_range 2> /dev/null || echo '0 0' > ping_group_range
`;
