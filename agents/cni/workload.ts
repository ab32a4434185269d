// What a CNI request is about: identifiers of the endpoint (Calico's CNI plugin, "Identifiers") and its shape from the pod.

import { podAttributes, podInterfaceName } from '../../lib/conversion/pod.ts';
import type { WorkloadEndpoint, WorkloadEndpointSpec } from '../../lib/model/endpoint-types.ts';
import { CALICO_API_VERSION } from '../../lib/model/kinds.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type WorkloadEndpointIds, workloadEndpointName } from '../../lib/model/workload-endpoint-name.ts';
import { parseIp } from '../../lib/net/ip.ts';
import { CniErrorCode, type CniRequest } from '../../lib/protocol/cni.ts';
import { CniFailure } from './failure.ts';

export interface Workload {
  readonly orchestrator: 'k8s' | 'cni';
  readonly namespace: string;
  /** Name of the pod, or the container's id. */
  readonly name: string;
  readonly endpointName: string;
  /** Host side of the pair: 15 characters at most. */
  readonly hostInterface: string;
  readonly handle: string;
}

/** Under which IPAM holds what a container has in a network. */
export function handleOf(network: string, containerId: string): string {
  return `${network}.${containerId}`;
}

type Named = Pick<CniRequest, 'args' | 'containerId'>;

function podOf({ args }: Named): { readonly namespace: string; readonly pod: string } | undefined {
  const { K8S_POD_NAMESPACE: namespace = '', K8S_POD_NAME: pod = '' } = args;
  return namespace === '' || pod === '' ? undefined : { namespace, pod };
}

/** Host side of the pair: of a pod the same for all its sandboxes. */
export function hostInterfaceOf(request: Named): string {
  const named = podOf(request);
  if (named !== undefined) return podInterfaceName(named.namespace, named.pod);
  return `cali${request.containerId.slice(0, 11)}`;
}

export function identifyWorkload(request: CniRequest, network: string, node: string): Workload {
  const named = podOf(request);
  const common = {
    hostInterface: hostInterfaceOf(request),
    handle: handleOf(network, request.containerId),
  };
  if (named !== undefined) {
    const { namespace, pod } = named;
    const ids = { node, orchestrator: 'k8s', pod, endpoint: request.ifName };
    return { ...common, orchestrator: 'k8s', namespace, name: pod, endpointName: nameOf(ids) };
  }
  const { containerId } = request;
  const ids = { node, orchestrator: 'cni', containerID: containerId, endpoint: request.ifName };
  return {
    ...common,
    orchestrator: 'cni',
    namespace: 'default',
    name: containerId,
    endpointName: nameOf(ids),
  };
}

function nameOf(ids: WorkloadEndpointIds): string {
  const result = workloadEndpointName(ids);
  if (result.ok) return result.name;
  throw new CniFailure(CniErrorCode.invalidEnvironment, result.error.message, result.error);
}

export interface EndpointParts {
  readonly request: CniRequest;
  readonly workload: Workload;
  readonly node: string;
  readonly network: string;
  readonly pod: Pod | undefined;
  readonly addresses: readonly string[];
  readonly mac: string;
}

/**
 * Outside Kubernetes containers are under a profile named after their network: they may go anywhere and be reached by one
 * another (Calico's default for networks without `policy.type`).
 */
export function networkProfile(network: string): Resource {
  return {
    apiVersion: CALICO_API_VERSION,
    kind: 'Profile',
    metadata: { name: network },
    spec: {
      egress: [{ action: 'Allow' }],
      ingress: [{ action: 'Allow', source: { selector: `has(${network})` } }],
      labelsToApply: { [network]: '' },
    },
  };
}

/** The WorkloadEndpoint as the plugin writes it. */
export function buildEndpoint({
  request,
  workload,
  node,
  network,
  pod,
  addresses,
  mac,
}: EndpointParts): WorkloadEndpoint {
  const common = {
    node,
    endpoint: request.ifName,
    containerID: request.containerId,
    interfaceName: workload.hostInterface,
    mac,
    ipNetworks: addresses.map((address) => `${address}/${parseIp(address)?.family === 6 ? 128 : 32}`),
  };
  const metadata = { name: workload.endpointName, namespace: workload.namespace };
  const base = { apiVersion: CALICO_API_VERSION, kind: 'WorkloadEndpoint' } as const;
  if (pod === undefined) {
    const spec: WorkloadEndpointSpec = {
      ...common,
      orchestrator: 'cni',
      workload: workload.name,
      profiles: [network],
    };
    return { ...base, metadata, spec };
  }
  const { labels, ...attributes } = podAttributes(pod);
  const spec: WorkloadEndpointSpec = { ...common, orchestrator: 'k8s', pod: workload.name, ...attributes };
  return { ...base, metadata: { ...metadata, labels }, spec };
}
