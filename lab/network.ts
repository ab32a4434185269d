// Makes and removes the lab's network: the fabric (a bridge in the lab's own namespace: it stands for the switch between
// the hosts, no host has a bridge) and one cable per host. All links of one step go through one `ip -batch`.

import { type RunResult, run } from '../lib/process/run.ts';
import type { Fabric, HostPlace } from './addresses.ts';
import { LabError } from './lab-error.ts';

/** What a host's kernel is told before its cable is plugged in. */
const HOST_SYSCTLS = [
  ['net/ipv4/ip_forward', '1'],
  ['net/ipv6/conf/all/forwarding', '1'],
  // Duplicate address detection takes a second; the lab gives out the addresses.
  ['net/ipv6/conf/all/accept_dad', '0'],
  ['net/ipv6/conf/default/accept_dad', '0'],
  ['net/ipv6/conf/eth0/accept_dad', '0'],
] as const;

/** Renders the fabric: its bridge with the lab's own addresses. */
function renderFabric(fabric: Fabric): string {
  const { bridge, mac } = fabric;
  return [
    // Hosts that know the bridge by an earlier address of its reach it only once their kernels have found out: half a minute.
    `link add ${bridge} address ${mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `addr add ${fabric.gateway}/${fabric.prefixLength} dev ${bridge}`,
    `addr add ${fabric.services}/${fabric.prefixLength} dev ${bridge}`,
    `addr add ${fabric.gateway6}/${fabric.prefixLength6} dev ${bridge} nodad`,
    `addr add ${fabric.services6}/${fabric.prefixLength6} dev ${bridge} nodad`,
    `link set ${bridge} up`,
    '',
  ].join('\n');
}

/** Renders a host's namespace and cable, as seen from the lab's own namespace. */
function renderCable(fabric: Fabric, place: HostPlace): string {
  return [
    `netns add ${place.netns}`,
    `link add ${place.port} type veth peer name eth0 netns ${place.netns}`,
    `link set ${place.port} master ${fabric.bridge} up`,
    '',
  ].join('\n');
}

/** Renders the host's end: loopback, eth0 with its addresses, default routes through the fabric's gateway. */
function renderHostEnd(fabric: Fabric, place: HostPlace): string {
  return [
    'link set lo up',
    `addr add ${place.address}/${fabric.prefixLength} dev eth0`,
    `addr add ${place.address6}/${fabric.prefixLength6} dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${fabric.gateway}`,
    `route add ::/0 via ${fabric.gateway6}`,
    '',
  ].join('\n');
}

export async function createFabric(fabric: Fabric): Promise<void> {
  await orThrow(`making ${fabric.bridge}`, run('ip', ['-batch', '-'], { input: renderFabric(fabric) }));
}

/** Makes a host's network and UTS namespace, and plugs it in. About 20 ms. */
export async function createHost(fabric: Fabric, place: HostPlace, name: string): Promise<void> {
  // The kernel takes a dead namespace's cable away in its own time; a host that comes back must not wait for that.
  await run('ip', ['link', 'del', place.port]);
  const cable = run('ip', ['-batch', '-'], { input: renderCable(fabric, place) });
  await orThrow(`making the namespace of ${name}`, cable);
  const sysctls = HOST_SYSCTLS.map(([path, value]) => `echo ${value} > /proc/sys/${path}`).join('\n');
  const script = `set -e\nhostname "$0"\n${sysctls}\nexec ip -batch -`;
  const uts = `/run/uts/${place.netns}`;
  const args = [
    '-c',
    `: > ${uts}; exec nsenter --net=/run/netns/${place.netns} unshare --uts=${uts} sh -c "$0" "$1"`,
  ];
  const input = renderHostEnd(fabric, place);
  await orThrow(`setting up ${name}`, run('sh', [...args, script, name], { input }));
}

/**
 * Unplugs a host and drops its namespaces, and those of the pods that hang on its cables (a host of the lab at the other
 * end stays: it has a UTS namespace of its own). What does not exist is not an error.
 */
export async function destroyHost(place: HostPlace): Promise<void> {
  await run('sh', ['-c', DESTROY_HOST, place.netns, place.port]);
}

const DESTROY_HOST = `
exec 2>/dev/null
pods=$(ip -n "$0" -o link show type veth | sed -n 's/.*link-netns \\([^ ]*\\).*/\\1/p')
umount -l "/run/uts/$0"
rm -f "/run/uts/$0"
ip link del "$1"
for pod in $pods; do [ -e "/run/uts/$pod" ] || ip netns del "$pod"; done
ip netns del "$0"
:
`;

/** Unmounts what the host's programs mounted below its state directory (network namespaces of pods): a boot keeps no mounts. */
export async function unmountBelow(directory: string): Promise<void> {
  const script = `awk -v d="$0/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l`;
  await run('sh', ['-c', script, directory]);
}

/** Removes what an earlier lab on the same fabric number left: bridge, ports, namespaces. */
export async function sweepFabric(fabric: Fabric): Promise<void> {
  const hasFabric = (await run('ip', ['link', 'show', fabric.bridge])).code === 0;
  if (!hasFabric) return;
  const listed = await run('ip', ['-o', 'link', 'show', 'master', fabric.bridge]);
  const names = [...listed.stdout.matchAll(/link-netns (\S+)/g)].flatMap((found) => found[1] ?? []);
  const script =
    'for n; do umount -l "/run/uts/$n"; rm -f "/run/uts/$n"; ip netns del "$n"; done 2>/dev/null; :';
  await run('sh', ['-c', script, 'sweep', ...names]);
  await run('ip', ['link', 'del', fabric.bridge]);
}

async function orThrow(step: string, work: Promise<RunResult>): Promise<void> {
  const result = await work;
  if (result.code !== 0) throw new LabError({ code: 'setupFailed', step, detail: result.stderr });
}
