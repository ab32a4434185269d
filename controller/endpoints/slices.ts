// The EndpointSlices that a Service with a selector is to have (Kubernetes discovery/v1): one a family, with all pods that
// the selector takes. Pure.

import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import {
  type Endpoint,
  type EndpointSlice,
  SERVICE_NAME_LABEL,
  type Service,
  type ServicePort,
} from '../../lib/model/kubernetes-service-types.ts';

export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const MANAGER = 'endpoints.calico-ts.dev';

type SlicePort = NonNullable<EndpointSlice['ports']>[number];

/** `pods`: of the service's namespace. Nothing for a service whose endpoints somebody else writes. */
export function slicesOf(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  const { metadata, spec = {} } = service;
  const selector = Object.entries(spec.selector ?? {});
  if (selector.length === 0 || spec.type === 'ExternalName') return [];
  const selected = pods
    .filter((pod) => selector.every(([key, value]) => pod.metadata.labels?.[key] === value))
    .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return (spec.ipFamilies ?? ['IPv4']).map((addressType): EndpointSlice => {
    const isV6 = addressType === 'IPv6';
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${metadata.name}-${addressType.toLowerCase()}`,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        labels: { [SERVICE_NAME_LABEL]: metadata.name, [MANAGED_BY_LABEL]: MANAGER },
        ownerReferences: [
          {
            apiVersion: 'v1',
            kind: 'Service',
            name: metadata.name,
            uid: metadata.uid ?? '',
            controller: true,
          },
        ],
      },
      addressType,
      endpoints: selected.flatMap((pod) => endpointOf(pod, isV6, spec.publishNotReadyAddresses === true)),
      ports: (spec.ports ?? []).map((port) => slicePort(port, selected)),
    };
  });
}

function endpointOf(pod: Pod, isV6: boolean, isAlwaysReady: boolean): Endpoint[] {
  const { metadata, spec, status } = pod;
  const addresses = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)].filter(
    (ip) => ip !== undefined && ip !== '' && ip.includes(':') === isV6,
  );
  const [address] = addresses;
  if (address === undefined) return [];
  const isServing = (status?.conditions ?? []).some(
    ({ type, status: is }) => type === 'Ready' && is === 'True',
  );
  const isTerminating = metadata.deletionTimestamp !== undefined;
  return [
    {
      addresses: [address],
      conditions: {
        ready: isAlwaysReady || (isServing && !isTerminating),
        serving: isServing,
        terminating: isTerminating,
      },
      ...(spec?.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
      targetRef: {
        kind: 'Pod',
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      },
    },
  ];
}

/** A named target port is what the first pod that has it says. */
function slicePort(
  { name = '', protocol = 'TCP', port, targetPort }: ServicePort,
  pods: readonly Pod[],
): SlicePort {
  if (typeof targetPort !== 'string') return { name, protocol, port: targetPort ?? port };
  const named = pods
    .flatMap(({ spec }) => spec?.containers ?? [])
    .flatMap(({ ports = [] }) => ports)
    .find((candidate) => candidate.name === targetPort);
  return { name, protocol, ...(named === undefined ? {} : { port: named.containerPort }) };
}
