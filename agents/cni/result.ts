// The answer of an ADD in the form of the version asked for (CNI 1.1.0 "ADD Success").

import { parseIp } from '../../lib/net/ip.ts';
import { HOST_SIDE_MAC } from '../../lib/net/workload-link.ts';
import type { CniRequest, CniResult } from '../../lib/protocol/cni.ts';
import type { Workload } from './workload.ts';

export interface AddOutcome {
  readonly request: CniRequest;
  readonly workload: Workload;
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly mtu: number;
}

export function buildResult(
  { request, workload, addresses, mac, mtu }: AddOutcome,
  cniVersion: string,
): CniResult {
  const withMtu = cniVersion === '1.1.0' ? { mtu } : {};
  // Before 1.0.0 each address names its family.
  const withFamily = cniVersion.startsWith('0.');
  return {
    cniVersion,
    interfaces: [
      { name: workload.hostInterface, mac: HOST_SIDE_MAC, ...withMtu, sandbox: '' },
      { name: request.ifName, mac, ...withMtu, sandbox: request.netns },
    ],
    ips: addresses.map((address) => {
      const isIpv6 = parseIp(address)?.family === 6;
      const net = `${address}/${isIpv6 ? 128 : 32}`;
      return {
        address: net,
        interface: 1,
        ...(withFamily ? { version: isIpv6 ? ('6' as const) : ('4' as const) } : {}),
      };
    }),
    dns: {},
  };
}
