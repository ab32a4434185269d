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

export function identifyWorkload(request: CniRequest, network: string, node: string): Workload {
  const namespace = request.args['K8S_POD_NAMESPACE'];
  const pod = request.args['K8S_POD_NAME'];
  const isPod = namespace !== undefined && namespace !== '' && pod !== undefined && pod !== '';
  const handle = `${network}.${request.containerId}`;
  if (isPod) {
    const ids = { node, orchestrator: 'k8s', pod, endpoint: request.ifName };
    const hostInterface = podInterfaceName(namespace, pod);
    return { orchestrator: 'k8s', namespace, name: pod, endpointName: nameOf(ids), hostInterface, handle };
  }
  const ids = { node, orchestrator: 'cni', containerID: request.containerId, endpoint: request.ifName };
  const hostInterface = `cali${request.containerId.slice(0, 11)}`;
  const { containerId: name } = request;
  return {
    orchestrator: 'cni',
    namespace: 'default',
    name,
    endpointName: nameOf(ids),
    hostInterface,
    handle,
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
