// Pods → existing WorkloadEndpoints: labels, ports and account follow the pod while it runs (kube-controllers' pod
// controller). Endpoints are made and deleted by CNI alone.

import { convertPod } from '../../../lib/conversion/pod.ts';
import type { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../../lib/datastore/resource-error.ts';
import type { WorkloadEndpoint, WorkloadEndpointSpec } from '../../../lib/model/endpoint-types.ts';
import { isSameJson } from '../../../lib/model/json-equality.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';

/** Brings the endpoint of a pod up to date; true if it was written. */
export async function followPod(client: ResourceClient, pod: Pod, signal: AbortSignal): Promise<boolean> {
  const converted = convertPod(pod);
  if (!converted.ok) return false;
  const { name, namespace } = converted.endpoint.metadata;
  if (namespace === undefined) return false;
  let current: WorkloadEndpoint;
  try {
    current = await client.get<WorkloadEndpoint>({ kind: 'WorkloadEndpoint', namespace, name }, signal);
  } catch (error) {
    if (isResourceError(error, 'doesNotExist')) return false;
    throw error;
  }
  const wanted = merged(current, converted.endpoint);
  if (isSameJson(wanted, current)) return false;
  await client.update(wanted, signal);
  return true;
}

function merged(current: WorkloadEndpoint, fromPod: WorkloadEndpoint): WorkloadEndpoint {
  const {
    ports: _ports,
    serviceAccountName: _account,
    ...rest
  } = current.spec ?? ({} as WorkloadEndpointSpec);
  const { ports, serviceAccountName, profiles } = fromPod.spec ?? ({} as WorkloadEndpointSpec);
  return {
    ...current,
    metadata: { ...current.metadata, labels: fromPod.metadata.labels ?? {} },
    spec: {
      ...rest,
      ...(profiles === undefined ? {} : { profiles }),
      ...(ports === undefined ? {} : { ports }),
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
    },
  };
}
