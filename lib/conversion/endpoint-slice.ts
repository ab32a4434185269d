// discovery/v1 EndpointSlice → what Felix reads of it (felix/serviceindex membersFromEndpointSlice): all addresses, ready or not, and
// the ports that have a number; one without means any port to Kubernetes, and no destination to Calico.

import { type EndpointSlice, SERVICE_NAME_LABEL } from '../model/kubernetes-service-types.ts';
import { parseIp } from '../net/ip.ts';
import type { EndpointSliceRef, StoredEndpointSlice } from '../protocol/endpoint-slices.ts';

/** Undefined for a slice that is of no service, and for one of names instead of addresses. */
export function convertEndpointSlice(slice: EndpointSlice): StoredEndpointSlice | undefined {
  const { metadata, addressType, endpoints, ports } = slice;
  const service = metadata.labels?.[SERVICE_NAME_LABEL];
  if (!service || addressType === 'FQDN') return undefined;
  const addresses = (endpoints ?? []).flatMap((endpoint) => endpoint.addresses);
  return {
    service: `${metadata.namespace ?? 'default'}/${service}`,
    addresses: [...new Set(addresses)].filter((address) => parseIp(address) !== undefined).sort(),
    ports: (ports ?? []).flatMap(({ protocol, port }) =>
      typeof port === 'number' && port > 0 ? [{ protocol: protocolOf(protocol), port }] : [],
    ),
  };
}

/** As Calico has it, anything else is TCP. */
function protocolOf(protocol: string | null | undefined): 'TCP' | 'UDP' | 'SCTP' {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}

/** The slice that gives this when it is converted: what is stored has all that policy asks of it. */
export function restoreEndpointSlice(
  { namespace, name }: EndpointSliceRef,
  { service, addresses, ports }: StoredEndpointSlice,
): EndpointSlice {
  const serviceName = service.slice(service.indexOf('/') + 1);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { [SERVICE_NAME_LABEL]: serviceName } },
    addressType: addresses.some((address) => address.includes(':')) ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses }],
    ports,
  };
}
