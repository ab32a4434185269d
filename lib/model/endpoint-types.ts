// Calico v3 Node, WorkloadEndpoint, HostEndpoint, IP pools and IPAM settings as stored (JSON shapes).

import type { Resource } from './metadata.ts';

export interface EndpointPort {
  name?: string;
  protocol: string | number;
  port: number;
  hostPort?: number;
  hostIP?: string;
}

export interface WorkloadEndpointSpec {
  orchestrator: string;
  workload?: string;
  node: string;
  containerID?: string;
  pod?: string;
  endpoint: string;
  serviceAccountName?: string;
  /** Each a /32 or /128. */
  ipNetworks?: string[];
  ipNATs?: { internalIP: string; externalIP: string }[];
  ipv4Gateway?: string;
  ipv6Gateway?: string;
  profiles?: string[];
  interfaceName?: string;
  mac?: string;
  ports?: EndpointPort[];
  allowSpoofedSourcePrefixes?: string[];
  qosControls?: Record<string, unknown>;
}
export type WorkloadEndpoint = Resource<'WorkloadEndpoint', WorkloadEndpointSpec>;

export interface HostEndpointSpec {
  node: string;
  interfaceName?: string;
  expectedIPs?: string[];
  profiles?: string[];
  ports?: EndpointPort[];
}
export type HostEndpoint = Resource<'HostEndpoint', HostEndpointSpec>;

export interface NodeSpec {
  bgp?: {
    asNumber?: number | string;
    /** Address with the length of its subnet: `172.30.0.11/24`. */
    ipv4Address?: string;
    ipv6Address?: string;
    ipv4IPIPTunnelAddr?: string;
    routeReflectorClusterID?: string;
  };
  ipv4VXLANTunnelAddr?: string;
  ipv6VXLANTunnelAddr?: string;
  vxlanTunnelMACAddr?: string;
  vxlanTunnelMACAddrV6?: string;
  orchRefs?: { nodeName?: string; orchestrator: string }[];
  wireguard?: { interfaceIPv4Address?: string; interfaceIPv6Address?: string };
  addresses?: { address: string; type?: string }[];
  interfaces?: { name: string; addresses: string[] }[];
}
export interface NodeStatus {
  wireguardPublicKey?: string;
  wireguardPublicKeyV6?: string;
  podCIDRs?: string[];
}
/** Calico's Node (`/calico/…/nodes`), not Kubernetes' (`/registry/nodes`). */
export type CalicoNode = Resource<'Node', NodeSpec, NodeStatus>;

export type EncapMode = 'Never' | 'Always' | 'CrossSubnet';
/** Whether the mode puts some traffic of the pool in a tunnel. */
export function isEncapsulating(mode: unknown): boolean {
  return mode === 'Always' || mode === 'CrossSubnet';
}

export type PoolUse = 'Workload' | 'Tunnel' | 'LoadBalancer';
export interface IPPoolSpec {
  cidr: string;
  vxlanMode?: EncapMode;
  ipipMode?: EncapMode;
  natOutgoing?: boolean;
  disabled?: boolean;
  disableBGPExport?: boolean;
  blockSize?: number;
  nodeSelector?: string;
  namespaceSelector?: string;
  allowedUses?: PoolUse[];
  assignmentMode?: 'Automatic' | 'Manual';
}
export type IPPool = Resource<'IPPool', IPPoolSpec>;
export type IPReservation = Resource<'IPReservation', { reservedCIDRs?: string[] }>;

export type ClusterInformation = Resource<
  'ClusterInformation',
  {
    clusterGUID?: string;
    clusterType?: string;
    calicoVersion?: string;
    datastoreReady?: boolean;
    variant?: string;
  }
>;
/** Loose on purpose: its parameters are parsed by the table of Felix's settings. */
export type FelixConfiguration = Resource<'FelixConfiguration', Record<string, unknown>>;
