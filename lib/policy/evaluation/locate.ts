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
}

const books = new WeakMap<PolicyCluster, AddressBook>();

/** An address that two workloads claim belongs to the one whose key sorts first. */
export function locate(cluster: PolicyCluster, address: IpAddress): Location {
  const book = books.get(cluster) ?? createBook(cluster);
  books.set(cluster, book);
  const endpoint = book.workloadByAddress.get(addressKey(address));
  if (endpoint !== undefined) return { type: 'workload', host: endpoint.id.host, endpoint };
  const host = book.hostByAddress.get(addressKey(address));
  return host === undefined ? { type: 'external' } : { type: 'host', host };
}

/**
 * The host endpoint that traffic between the host and the network passes: the one that expects the host's address, else the
 * first by name that names an interface, else the one for all interfaces.
 */
export function networkHostEndpoint(cluster: PolicyCluster, host: string): CompiledHostEndpoint | undefined {
  const addresses = cluster.hostAddresses.get(host) ?? [];
  const expected = new Set(addresses.map((address) => addressKey(address)));
  const rank = (endpoint: CompiledHostEndpoint): number => {
    if (endpoint.expectedIps.some((net) => expected.has(netKey(net)))) return 0;
    return endpoint.interfaceName === '*' ? 2 : 1;
  };
  return [...cluster.hostEndpoints.values()]
    .filter((endpoint) => endpoint.id.host === host)
    .sort((a, b) => rank(a) - rank(b) || (a.id.endpoint < b.id.endpoint ? -1 : 1))[0];
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
  return { workloadByAddress, hostByAddress };
}

function addressKey({ family, value }: IpAddress): string {
  return `${family}/${value}`;
}

function netKey(net: string): string {
  const cidr = parseCidr(net);
  return cidr === undefined ? '' : addressKey({ family: cidr.family, value: cidr.base });
}
