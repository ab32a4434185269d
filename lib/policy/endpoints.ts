// Names and addresses of endpoint resources as the compiled form has them.

import type { CalicoNode, HostEndpoint, WorkloadEndpoint } from '../model/endpoint-types.ts';
import { parseWorkloadEndpointName, WorkloadEndpointNameError } from '../model/workload-endpoint-name.ts';
import {
  type Cidr,
  canonicalCidr,
  compareCidr,
  formatCidr,
  hostCidr,
  type IpAddress,
  parseCidr,
  parseIp,
  withoutLength,
} from '../net/ip.ts';
import type { WorkloadEndpointId } from './compiled.ts';

/** Undefined if the resource does not say which endpoint it is. */
export function workloadEndpointIdOf(resource: WorkloadEndpoint): WorkloadEndpointId | undefined {
  const { spec, metadata } = resource;
  const workload = workloadName(resource);
  if (!spec?.node || !spec.orchestrator || !spec.endpoint || workload === undefined) return undefined;
  return {
    host: spec.node,
    orchestrator: spec.orchestrator,
    workload: `${metadata.namespace ?? 'default'}/${workload}`,
    endpoint: spec.endpoint,
  };
}

/** The third part of the endpoint's name. */
function workloadName({ metadata }: WorkloadEndpoint): string | undefined {
  try {
    const ids = parseWorkloadEndpointName(metadata.name);
    return ids.pod ?? ids.containerID ?? ids.workload;
  } catch (error) {
    if (error instanceof WorkloadEndpointNameError) return undefined;
    throw error;
  }
}

/** Canonical texts, IPv4 first, each once; what is no network is left out. */
export function canonicalNets(texts: readonly string[]): string[] {
  const nets = texts.map(parseCidr).filter((net) => net !== undefined);
  return [...new Set(nets.sort(compareCidr).map(formatCidr))];
}

/** The same without order: a set may have thousands, and is read whole at each change. */
export function distinctNets(texts: readonly string[]): string[] {
  const nets = new Set<string>();
  for (const text of texts) {
    const net = canonicalCidr(text);
    if (net !== undefined) nets.add(net);
  }
  return [...nets];
}

/** The addresses of a host endpoint as networks of one. */
export function expectedNets(resource: HostEndpoint): string[] {
  const addresses = (resource.spec?.expectedIPs ?? []).map(parseIp).filter((ip) => ip !== undefined);
  return canonicalNets(addresses.map((ip) => formatCidr(hostCidr(ip) satisfies Cidr)));
}

/** Of the host itself, its ends of tunnels among them. */
export function nodeAddresses({ spec }: CalicoNode): IpAddress[] {
  const texts = [
    spec?.bgp?.ipv4Address,
    spec?.bgp?.ipv6Address,
    spec?.bgp?.ipv4IPIPTunnelAddr,
    spec?.ipv4VXLANTunnelAddr,
    spec?.ipv6VXLANTunnelAddr,
    spec?.wireguard?.interfaceIPv4Address,
    spec?.wireguard?.interfaceIPv6Address,
    ...(spec?.addresses ?? []).map(({ address }) => address),
  ];
  // With the length of the subnet, in some of the fields.
  return texts.flatMap((text) => (text === undefined ? [] : (parseIp(withoutLength(text)) ?? [])));
}
