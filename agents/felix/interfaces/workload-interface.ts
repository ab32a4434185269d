// The veth pair of a workload as Calico's CNI plugin makes it: host side `cali…` with MAC ee:ee:ee:ee:ee:ee, pod side with
// /32 and /128 addresses, 169.254.1.1 and fe80::ecee:eeff:feee:eeee as next hops (docs/dataplane.md "Interfaces").
// The host side stays down: the dataplane raises it when the policy is in the kernel.

import { GATEWAY_V4, GATEWAY_V6, HOST_SIDE_MAC } from '../../../lib/net/workload-link.ts';
import type { PodAddresses, Sysctl } from '../../../lib/protocol/kernel-writer.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { POD_SYSCTLS, workloadInterfaceSysctls } from './sysctls.ts';

/** The end in a workload's network namespace. */
interface PodEnd {
  /** Path of the namespace. */
  readonly netns: string;
  /** `eth0`, as a rule. */
  readonly podName: string;
}

export interface WorkloadInterface extends PodEnd {
  readonly hostName: string;
  readonly mtu: number;
  /** Pod side. */
  readonly mac: string;
  /** Whether the pod may forward; it may not if left out. */
  readonly allowForwarding?: boolean;
}

export interface WorkloadAddresses extends PodEnd {
  /** Addresses without length. */
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
  /** Networks that the pod reaches through the host; all of a family's if left out. */
  readonly routes4?: readonly string[];
  readonly routes6?: readonly string[];
}

/**
 * The pair, without addresses. A leftover of the same name is replaced. Throws KernelWriteError; nothing of the pair is left
 * then. Both MACs are given at birth: changed later, the host's would not give the link-local address that pods use.
 */
export async function createWorkloadInterface(
  writer: KernelWriterClient,
  wanted: WorkloadInterface,
): Promise<void> {
  const { hostName, podName, netns, mtu, mac } = wanted;
  try {
    await writer.makePair({
      ...{ hostName, hostMac: HOST_SIDE_MAC, hostSysctls: [...workloadInterfaceSysctls(hostName)], mtu },
      ...{ netns, podName, podMac: mac, podSysctls: podSysctls(wanted) },
    });
  } catch (error) {
    await writer.deleteLink(hostName);
    throw error;
  }
}

/** Of a pair that has just been made. Throws KernelWriteError; some of it may be there then. */
export async function addressWorkloadInterface(
  writer: KernelWriterClient,
  wanted: WorkloadAddresses,
): Promise<void> {
  const { netns, podName, addresses4, addresses6 } = wanted;
  const routes: PodAddresses['routes'] = [];
  const neighbours: PodAddresses['neighbours'] = [];
  if (addresses4.length > 0) {
    neighbours.push({ address: GATEWAY_V4, mac: HOST_SIDE_MAC });
    routes.push({ net: `${GATEWAY_V4}/32` });
    for (const net of wanted.routes4 ?? ['0.0.0.0/0']) routes.push({ net, via: GATEWAY_V4 });
  }
  if (addresses6.length > 0) {
    neighbours.push({ address: GATEWAY_V6, mac: HOST_SIDE_MAC });
    for (const net of wanted.routes6 ?? ['::/0']) routes.push({ net, via: GATEWAY_V6 });
  }
  await writer.addressPod({
    netns,
    podName,
    addresses: [...addresses4, ...addresses6],
    neighbours,
    routes,
  });
}

function podSysctls(wanted: WorkloadInterface): Sysctl[] {
  const forwarding = wanted.allowForwarding === true ? '1' : '0';
  return [...POD_SYSCTLS, { path: 'net/ipv4/ip_forward', value: forwarding }];
}
