// The veth pair of a workload as Calico's CNI plugin makes it: host side `cali…` with MAC ee:ee:ee:ee:ee:ee, pod side with
// /32 and /128 addresses, 169.254.1.1 and fe80::ecee:eeff:feee:eeee as next hops (docs/dataplane.md "Interfaces").
// The host side stays down: the dataplane raises it when the policy is in the kernel.

import { createHash, randomBytes } from 'node:crypto';
import { GATEWAY_V4, GATEWAY_V6, HOST_SIDE_MAC } from '../../../lib/net/workload-link.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { POD_SYSCTLS, workloadInterfaceSysctls } from './sysctls.ts';

/** `cali` + 11 hexadecimal digits: of SHA-1 over `namespace.pod`. */
export function podInterfaceName(namespace: string, pod: string): string {
  const digest = createHash('sha1').update(`${namespace}.${pod}`).digest('hex');
  return `cali${digest.slice(0, 11)}`;
}

export interface WorkloadInterface {
  readonly hostName: string;
  /** Path of the workload's network namespace. */
  readonly netns: string;
  /** `eth0`, as a rule. */
  readonly podName: string;
  readonly mtu: number;
  /** Pod side; made up if left out. */
  readonly mac?: string;
  /** Addresses without length. */
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
  /** Networks that the pod reaches through the host; all of a family's if left out. */
  readonly routes4?: readonly string[];
  readonly routes6?: readonly string[];
  /** Whether the pod may forward; it may not if left out. */
  readonly allowForwarding?: boolean;
}

export interface MadeInterface {
  readonly hostName: string;
  readonly mac: string;
}

/** A leftover of the same name is replaced. Throws KernelWriteError; nothing of the pair is left then. */
export async function createWorkloadInterface(
  writer: KernelWriterClient,
  wanted: WorkloadInterface,
): Promise<MadeInterface> {
  const mac = wanted.mac ?? randomMac();
  const { hostName, podName, netns, mtu } = wanted;
  try {
    // The MAC is given at birth: changed later, it would not give the link-local address that pods use.
    await deleteLeftover(writer, hostName);
    await writer.ip([
      `link add name ${hostName} address ${HOST_SIDE_MAC} mtu ${mtu} type veth peer name ${podName} address ${mac} mtu ${mtu} netns ${netns}`,
    ]);
    await writer.sysctl(workloadInterfaceSysctls(hostName));
    await writer.inNamespace(netns, podSysctls(wanted), podLines(wanted));
  } catch (error) {
    await deleteWorkloadInterface(writer, hostName);
    throw error;
  }
  return { hostName, mac };
}

/** Missing is fine: the pair goes with either end. */
export async function deleteWorkloadInterface(writer: KernelWriterClient, hostName: string): Promise<void> {
  try {
    await writer.ip([`link del dev ${hostName}`]);
  } catch (error) {
    // "Not there" is told apart from a refusal by asking, not by the text of an error.
    if (await hasInterface(writer, hostName)) throw error;
  }
}

/** A leftover that cannot be taken away shows itself when the pair of the same name is made. */
async function deleteLeftover(writer: KernelWriterClient, hostName: string): Promise<void> {
  try {
    await writer.ip([`link del dev ${hostName}`]);
  } catch (error) {
    if (!(error instanceof KernelWriteError) || error.type.code !== 'linesFailed') throw error;
  }
}

async function hasInterface(writer: KernelWriterClient, name: string): Promise<boolean> {
  const links: unknown = JSON.parse((await writer.ipQuery(['-j', 'link', 'show'])) || '[]');
  return Array.isArray(links) && links.some((link: { readonly ifname?: unknown }) => link.ifname === name);
}

function podSysctls(wanted: WorkloadInterface): typeof POD_SYSCTLS {
  const forwarding = wanted.allowForwarding === true ? '1' : '0';
  return [...POD_SYSCTLS, { path: 'net/ipv4/ip_forward', value: forwarding }];
}

function podLines(wanted: WorkloadInterface): readonly string[] {
  const { podName, addresses4, addresses6 } = wanted;
  const lines = ['link set dev lo up', `link set dev ${podName} up`];
  if (addresses4.length > 0) {
    for (const address of addresses4) lines.push(`addr add ${address}/32 dev ${podName}`);
    lines.push(`neigh replace ${GATEWAY_V4} lladdr ${HOST_SIDE_MAC} dev ${podName} nud permanent`);
    lines.push(`route replace ${GATEWAY_V4}/32 dev ${podName} scope link`);
    for (const net of wanted.routes4 ?? ['0.0.0.0/0'])
      lines.push(`route replace ${net} via ${GATEWAY_V4} dev ${podName}`);
  }
  if (addresses6.length > 0) {
    for (const address of addresses6) lines.push(`addr add ${address}/128 dev ${podName} nodad`);
    lines.push(`neigh replace ${GATEWAY_V6} lladdr ${HOST_SIDE_MAC} dev ${podName} nud permanent`);
    for (const net of wanted.routes6 ?? ['::/0'])
      lines.push(`route replace ${net} via ${GATEWAY_V6} dev ${podName}`);
  }
  return lines;
}

/** Locally administered, unicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
