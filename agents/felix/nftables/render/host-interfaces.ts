// Which host endpoint each of the host's interfaces has (Felix's endpoint manager, `resolveHostEndpoints`): one that names it, or,
// of those that name none, one that expects an address of it; of several the first by name. `*` is for all others.

import type { CompiledHostEndpoint } from '../../../../lib/policy/compiled.ts';
import { isWorkloadInterface } from '../../calc/felix-settings.ts';

/** An interface of the host's own namespace. */
export interface HostInterface {
  readonly name: string;
  /** Canonical /32 and /128. */
  readonly addresses: readonly string[];
}

export interface ResolvedHostEndpoints {
  /** By interface. A name need not be one of an interface that is there: it is policed from its first packet. */
  readonly byInterface: ReadonlyMap<string, CompiledHostEndpoint>;
  /** For interfaces without one of their own. */
  readonly others: CompiledHostEndpoint | undefined;
}

export const ALL_INTERFACES = '*';

/** Workloads' interfaces have no host endpoints of their own. `endpoints` are all of this host. */
export function resolveHostEndpoints(
  endpoints: Iterable<CompiledHostEndpoint>,
  interfaces: readonly HostInterface[],
  workloadPrefixes: readonly string[],
): ResolvedHostEndpoints {
  const inOrder = [...endpoints].sort((a, b) => (a.id.endpoint < b.id.endpoint ? -1 : 1));
  const byInterface = new Map<string, CompiledHostEndpoint>();
  let others: CompiledHostEndpoint | undefined;
  for (const endpoint of inOrder) {
    if (endpoint.interfaceName === ALL_INTERFACES) others ??= endpoint;
    for (const name of interfacesOf(endpoint, interfaces)) {
      if (isWorkloadInterface(workloadPrefixes, name) || byInterface.has(name)) continue;
      byInterface.set(name, endpoint);
    }
  }
  return { byInterface, others };
}

function interfacesOf(
  { interfaceName, expectedIps }: CompiledHostEndpoint,
  interfaces: readonly HostInterface[],
): readonly string[] {
  if (interfaceName === ALL_INTERFACES) return [];
  if (interfaceName !== undefined) return [interfaceName];
  const expected = new Set(expectedIps);
  return interfaces
    .filter(({ addresses }) => addresses.some((address) => expected.has(address)))
    .map(({ name }) => name);
}
