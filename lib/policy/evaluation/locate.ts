// Who holds an address: a workload, a host itself, or somebody outside of the cluster.

import { type IpAddress, parseCidr } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import {
  type CompiledHostEndpoint,
  type CompiledWorkloadEndpoint,
  workloadEndpointKey,
} from '../compiled.ts';

export type Location =
  | { readonly type: 'workload'; readonly host: string; readonly endpoint: CompiledWorkloadEndpoint }
  | { readonly type: 'host'; readonly host: string }
  | { readonly type: 'external' };

interface AddressBook {
  readonly workloadByAddress: ReadonlyMap<string, CompiledWorkloadEndpoint>;
  readonly hostByAddress: ReadonlyMap<string, string>;
  readonly endpointsByHost: ReadonlyMap<string, readonly CompiledHostEndpoint[]>;
}

const books = new WeakMap<PolicyCluster, AddressBook>();

/** An address that two workloads claim belongs to the one whose key sorts first. */
export function locate(cluster: PolicyCluster, address: IpAddress): Location {
  const book = bookOf(cluster);
  const endpoint = book.workloadByAddress.get(addressKey(address));
  if (endpoint !== undefined) return { type: 'workload', host: endpoint.id.host, endpoint };
  const host = book.hostByAddress.get(addressKey(address));
  return host === undefined ? { type: 'external' } : { type: 'host', host };
}

/**
 * The host endpoint that traffic between the host and the network passes, or that of the interface named: one that names it, or
 * that expects the host's address and names none; where it is not known which interface that is, the first by name that names
 * any; else the one for all interfaces. Of several the first by name.
 */
export function networkHostEndpoint(
  cluster: PolicyCluster,
  host: string,
  interfaceName?: string,
): CompiledHostEndpoint | undefined {
  const addresses = cluster.hostAddresses.get(host) ?? [];
  const expected = new Set(addresses.map((address) => addressKey(address)));
  const rank = (endpoint: CompiledHostEndpoint): number => {
    if (endpoint.interfaceName === '*') return 2;
    if (interfaceName !== undefined) return endpoint.interfaceName === interfaceName ? 0 : 3;
    return endpoint.expectedIps.some((net) => expected.has(netKey(net))) ? 0 : 1;
  };
  return hostEndpointsOf(cluster, host)
    .filter((endpoint) => rank(endpoint) < 3)
    .sort((a, b) => rank(a) - rank(b))[0];
}

/** Also of workloads' interfaces, as far as it says anything of those. */
export function wildcardHostEndpoint(cluster: PolicyCluster, host: string): CompiledHostEndpoint | undefined {
  return hostEndpointsOf(cluster, host).find(({ interfaceName }) => interfaceName === '*');
}

/** Sorted by name. */
export function hostEndpointsOf(cluster: PolicyCluster, host: string): readonly CompiledHostEndpoint[] {
  return bookOf(cluster).endpointsByHost.get(host) ?? [];
}

function bookOf(cluster: PolicyCluster): AddressBook {
  const book = books.get(cluster) ?? createBook(cluster);
  books.set(cluster, book);
  return book;
}

function createBook(cluster: PolicyCluster): AddressBook {
  const workloadByAddress = new Map<string, CompiledWorkloadEndpoint>();
  const byKey = [...cluster.workloadEndpoints.values()].sort((a, b) =>
    workloadEndpointKey(a.id) < workloadEndpointKey(b.id) ? -1 : 1,
  );
  for (const endpoint of byKey) {
    for (const net of [...endpoint.nets4, ...endpoint.nets6]) {
      if (!workloadByAddress.has(netKey(net))) workloadByAddress.set(netKey(net), endpoint);
    }
  }
  const hostByAddress = new Map<string, string>();
  for (const [host, addresses] of cluster.hostAddresses) {
    for (const address of addresses) hostByAddress.set(addressKey(address), host);
  }
  const byName = [...cluster.hostEndpoints.values()].sort((a, b) => (a.id.endpoint < b.id.endpoint ? -1 : 1));
  return { workloadByAddress, hostByAddress, endpointsByHost: Map.groupBy(byName, ({ id }) => id.host) };
}

function addressKey({ family, value }: IpAddress): string {
  return `${family}/${value}`;
}

function netKey(net: string): string {
  const cidr = parseCidr(net);
  return cidr === undefined ? '' : addressKey({ family: cidr.family, value: cidr.base });
}
