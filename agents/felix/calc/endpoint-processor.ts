// Workload endpoints, host endpoints and network sets to the graph's inputs (libcalico-go's update processors of them).

import type { HostEndpoint, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import { ScalarError } from '../../../lib/model/numbers.ts';
import type { GlobalNetworkSet, NetworkSet } from '../../../lib/model/policy-types.ts';
import {
  parseWorkloadEndpointName,
  WorkloadEndpointNameError,
} from '../../../lib/model/workload-endpoint-name.ts';
import { canonicalCidr } from '../../../lib/net/ip.ts';
import type { WorkloadEndpointId } from '../../../lib/policy/compiled.ts';
import {
  hostEndpointLabels,
  type LabelSource,
  networkSetLabels,
  workloadEndpointLabels,
} from '../../../lib/policy/labels.ts';
import type { HostEndpointInput, NetworkSetInput, WorkloadEndpointInput } from './inputs.ts';
import { InvalidInputError } from './invalid-input-error.ts';

/** From the resource's name; undefined if it is not one. */
export function workloadEndpointId(namespace: string, name: string): WorkloadEndpointId | undefined {
  try {
    const ids = parseWorkloadEndpointName(name);
    const third =
      ids.pod ??
      ids.containerID ??
      ids.workload ??
      (ids.orchestrator === 'libnetwork' ? 'libnetwork' : undefined);
    if (
      ids.node === undefined ||
      ids.orchestrator === undefined ||
      third === undefined ||
      ids.endpoint === undefined
    ) {
      return undefined;
    }
    return {
      host: ids.node,
      orchestrator: ids.orchestrator,
      workload: `${namespace}/${third}`,
      endpoint: ids.endpoint,
    };
  } catch (error) {
    if (error instanceof WorkloadEndpointNameError) return undefined;
    throw error;
  }
}

export function workloadEndpointInput(
  resource: WorkloadEndpoint | undefined,
  revision: number,
): WorkloadEndpointInput | undefined {
  if (resource === undefined) return undefined;
  const { spec } = resource;
  if (!spec?.interfaceName) throw new InvalidInputError('spec.interfaceName', 'must be set');
  const nets = canonicalNets(spec.ipNetworks, 'spec.ipNetworks');
  return {
    ...labelSource(() => workloadEndpointLabels(resource)),
    interfaceName: spec.interfaceName,
    mac: spec.mac || undefined,
    nets4: nets.filter((net) => !isV6(net)),
    nets6: nets.filter(isV6),
    allowSpoofedSourcePrefixes: canonicalNets(
      spec.allowSpoofedSourcePrefixes,
      'spec.allowSpoofedSourcePrefixes',
    ),
    revision,
  };
}

export function hostEndpointInput(
  resource: HostEndpoint | undefined,
  revision: number,
): HostEndpointInput | undefined {
  if (resource === undefined) return undefined;
  if (!resource.spec?.node) throw new InvalidInputError('spec.node', 'must be set');
  return {
    ...labelSource(() => hostEndpointLabels(resource)),
    interfaceName: resource.spec.interfaceName || undefined,
    expectedIps: canonicalNets(resource.spec.expectedIPs, 'spec.expectedIPs'),
    revision,
  };
}

export function networkSetInput(
  resource: NetworkSet | GlobalNetworkSet | undefined,
): NetworkSetInput | undefined {
  if (resource === undefined) return undefined;
  const { labels, profiles } = networkSetLabels(resource);
  return { labels, profiles, nets: canonicalNets(resource.spec?.nets, 'spec.nets') };
}

function labelSource(read: () => LabelSource): LabelSource {
  try {
    return read();
  } catch (error) {
    if (error instanceof ScalarError) throw new InvalidInputError('spec.ports', error.message);
    throw error;
  }
}

/** Each once. */
function canonicalNets(nets: readonly string[] | undefined, field: string): string[] {
  const canonical = new Set<string>();
  for (const [index, net] of (nets ?? []).entries()) {
    const cidr = canonicalCidr(net);
    if (cidr === undefined) throw new InvalidInputError(`${field}[${index}]`, `not a network: ${net}`);
    canonical.add(cidr);
  }
  return [...canonical];
}

function isV6(net: string): boolean {
  return net.includes(':');
}
