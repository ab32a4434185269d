// One bed: two hosts with a cable between them, a client and its peer on the first, a peer on the second, and a machine
// beyond the first that is no workload. All beds are alike but for the rules in their hosts.

import { runOk } from '../../lib/process/run.ts';
import {
  CLIENT,
  FAR,
  interfaceNameOf,
  NEAR,
  NODE_ADDRESSES,
  type NodeName,
  OUTSIDE_ADDRESS,
} from './scales.ts';

export const ROLES = ['node-1', 'node-2', 'client', 'near', 'far', 'outside'] as const;
export type Role = (typeof ROLES)[number];

export interface Bed {
  readonly name: string;
  /** As `ip netns` knows it. */
  namespaceOf(role: Role): string;
}

const HOST_MAC = 'ee:ee:ee:ee:ee:ee';
const GATEWAY = '169.254.1.1';
/** Filtering by the reverse path would be a rule. */
const NO_RP_FILTER = ['net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0'] as const;
const HOST_SYSCTLS = [...NO_RP_FILTER, 'net.ipv4.ip_forward=1'] as const;
/** Connections are opened faster than their ends are forgotten. */
const POD_SYSCTLS = [
  ...NO_RP_FILTER,
  'net.ipv4.tcp_max_tw_buckets=64',
  'net.ipv4.ip_local_port_range=1024 65000',
] as const;

/** In the namespaces that this process runs in, and gone with them. */
export async function makeBed(name: string): Promise<Bed> {
  const namespaceOf = (role: Role): string => `${name}-${role}`;
  const bed: Bed = { name, namespaceOf };
  for (const role of ROLES) {
    await runOk('ip', ['netns', 'add', namespaceOf(role)]);
    const sysctls = role.startsWith('node') ? HOST_SYSCTLS : POD_SYSCTLS;
    await inside(bed, role, ['sysctl', '-q', '-w', ...sysctls]);
    await ip(bed, role, ['link set lo up']);
  }
  await cable(
    bed,
    ['node-1', 'eth0', NODE_ADDRESSES['node-1']],
    ['node-2', 'eth0', NODE_ADDRESSES['node-2']],
  );
  await cable(bed, ['node-1', 'eth1', '192.0.2.1'], ['outside', 'eth0', OUTSIDE_ADDRESS]);
  await ip(bed, 'outside', ['route add default via 192.0.2.1']);
  await ip(bed, 'node-1', [`route add ${FAR.address}/32 via ${NODE_ADDRESSES['node-2']}`]);
  await ip(bed, 'node-2', [`route add ${CLIENT.address}/32 via ${NODE_ADDRESSES['node-1']}`]);
  for (const pod of [CLIENT, NEAR, FAR]) await connectPod(bed, pod);
  return bed;
}

export async function removeBed(bed: Bed): Promise<void> {
  for (const role of ROLES) await runOk('ip', ['netns', 'del', bed.namespaceOf(role)]);
}

/** Runs a command in one of the bed's namespaces. */
export async function inside(
  bed: Bed,
  role: Role,
  [command, ...args]: readonly [string, ...string[]],
  input?: string,
): Promise<void> {
  await runOk('ip', ['netns', 'exec', bed.namespaceOf(role), command, ...args], {
    timeoutMs: 300_000,
    ...(input === undefined ? {} : { input }),
  });
}

export function podMac(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `02:00:${bytes.join(':')}`;
}

async function ip(bed: Bed, role: Role, lines: readonly string[]): Promise<void> {
  await runOk('ip', ['-n', bed.namespaceOf(role), '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

type End = readonly [role: Role, interfaceName: string, address: string];

async function cable(bed: Bed, left: End, right: End): Promise<void> {
  await ip(bed, left[0], [
    `link add ${left[1]} address ${podMac(left[2])} type veth peer name ${right[1]} address ${podMac(right[2])} netns ${bed.namespaceOf(right[0])}`,
  ]);
  const ends = [
    [left, right],
    [right, left],
  ] as const;
  for (const [[role, device, address], [, , peer]] of ends) {
    await ip(bed, role, [
      `addr add ${address}/24 dev ${device}`,
      `link set ${device} up`,
      `neigh replace ${peer} lladdr ${podMac(peer)} dev ${device} nud permanent`,
    ]);
  }
}

/** As the agent's CNI server makes it, and as its dataplane routes it. */
async function connectPod(
  bed: Bed,
  pod: { readonly name: Role; readonly node: NodeName; readonly address: string },
): Promise<void> {
  const device = interfaceNameOf(pod.name);
  const mac = podMac(pod.address);
  await ip(bed, pod.node, [
    `link add ${device} address ${HOST_MAC} type veth peer name eth0 address ${mac} netns ${bed.namespaceOf(pod.name)}`,
    `link set ${device} up`,
    `route replace ${pod.address}/32 dev ${device} scope link proto 80`,
    `neigh replace ${pod.address} lladdr ${mac} dev ${device} nud permanent`,
  ]);
  await ip(bed, pod.name, [
    `addr add ${pod.address}/32 dev eth0`,
    'link set eth0 up',
    `neigh replace ${GATEWAY} lladdr ${HOST_MAC} dev eth0 nud permanent`,
    `route add ${GATEWAY}/32 dev eth0 scope link`,
    `route add default via ${GATEWAY} dev eth0`,
  ]);
}
