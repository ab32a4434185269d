// Kubernetes Services, EndpointSlices and Secrets (core/v1, discovery/v1; JSON shapes). Only what is read or written here is
// typed; other fields of an object are kept as they came.

import type { ObjectReference } from './kubernetes-types.ts';
import type { Resource } from './metadata.ts';

export interface ServicePort {
  name?: string;
  /** TCP by default. */
  protocol?: string;
  port: number;
  /** Number, or name of a container's port; `port` by default. */
  targetPort?: number | string;
  nodePort?: number;
}
export interface ServiceSpec {
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  selector?: Record<string, string>;
  ports?: ServicePort[];
  /** `None` for a headless service. */
  clusterIP?: string;
  clusterIPs?: string[];
  ipFamilies?: ('IPv4' | 'IPv6')[];
  externalIPs?: string[];
  externalName?: string;
  externalTrafficPolicy?: 'Cluster' | 'Local';
  loadBalancerIP?: string;
  publishNotReadyAddresses?: boolean;
}
export interface ServiceStatus {
  loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] };
}
export type Service = Resource<'Service', ServiceSpec, ServiceStatus>;

export interface Endpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  nodeName?: string;
  targetRef?: ObjectReference;
}
export interface EndpointSlice extends Resource<'EndpointSlice', never, never> {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints?: Endpoint[];
  ports?: { name?: string; protocol?: string; port?: number }[];
}
/** On an EndpointSlice: the service that it belongs to. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** Where the Secrets are that BGP resources name (Calico's own namespace). */
export const BGP_SECRET_NAMESPACE = 'kube-system';

export interface Secret extends Resource<'Secret', never, never> {
  type?: string;
  immutable?: boolean;
  /** Base64. */
  data?: Record<string, string>;
}
