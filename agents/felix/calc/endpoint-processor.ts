// Workload endpoints, host endpoints and network sets to the graph's inputs (libcalico-go's update processors of them).
// An endpoint that is not complete yet, without addresses or interface, counts as absent.

import type { HostEndpoint, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import type { GlobalNetworkSet, NetworkSet } from '../../../lib/model/policy-types.ts';
import {
  parseWorkloadEndpointName,
  WorkloadEndpointNameError,
} from '../../../lib/model/workload-endpoint-name.ts';
import type { WorkloadEndpointId } from '../../../lib/policy/compiled.ts';
import { canonicalNets, distinctNets, expectedNets } from '../../../lib/policy/endpoints.ts';
import { hostEndpointLabels, networkSetLabels, workloadEndpointLabels } from '../../../lib/policy/labels.ts';
import type { HostEndpointInput, NetworkSetInput, WorkloadEndpointInput } from './inputs.ts';

/** From the resource's name; undefined if it is not one. */
export function workloadEndpointId(namespace: string, name: string): WorkloadEndpointId | undefined {
  try {
    const ids = parseWorkloadEndpointName(name);
    const isLibnetwork = ids.orchestrator === 'libnetwork';
    const workload = ids.pod ?? ids.containerID ?? ids.workload ?? (isLibnetwork ? 'libnetwork' : undefined);
    const { node: host, orchestrator, endpoint } = ids;
    if (
      host === undefined ||
      orchestrator === undefined ||
      workload === undefined ||
      endpoint === undefined
    ) {
      return undefined;
    }
    return { host, orchestrator, workload: `${namespace}/${workload}`, endpoint };
  } catch (error) {
    if (error instanceof WorkloadEndpointNameError) return undefined;
    throw error;
  }
}

export function workloadEndpointInput(
  resource: WorkloadEndpoint | undefined,
  revision: number,
): WorkloadEndpointInput | undefined {
  const { interfaceName, mac, ipNetworks, allowSpoofedSourcePrefixes } = resource?.spec ?? {};
  const nets = canonicalNets(ipNetworks ?? []);
  if (resource === undefined || !interfaceName || nets.length === 0) return undefined;
  return {
    ...workloadEndpointLabels(resource),
    interfaceName,
    mac: mac || undefined,
    nets4: nets.filter((net) => !net.includes(':')),
    nets6: nets.filter((net) => net.includes(':')),
    allowSpoofedSourcePrefixes: canonicalNets(allowSpoofedSourcePrefixes ?? []),
    revision,
  };
}

export function hostEndpointInput(
  resource: HostEndpoint | undefined,
  revision: number,
): HostEndpointInput | undefined {
  if (!resource?.spec?.node) return undefined;
  return {
    ...hostEndpointLabels(resource),
    interfaceName: resource.spec.interfaceName || undefined,
    expectedIps: expectedNets(resource),
    revision,
  };
}

export function networkSetInput(
  resource: NetworkSet | GlobalNetworkSet | undefined,
): NetworkSetInput | undefined {
  if (resource === undefined) return undefined;
  const { labels, profiles } = networkSetLabels(resource);
  return { labels, profiles, nets: distinctNets(resource.spec?.nets ?? []) };
}
