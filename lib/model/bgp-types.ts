// Calico v3 BGP resources as stored (JSON shapes): BGPConfiguration, BGPPeer, BGPFilter.

import type { Resource } from './metadata.ts';

export interface SecretKeyRef {
  name?: string;
  key: string;
  optional?: boolean;
}
export interface ServiceBlock {
  cidr?: string;
}
/** `value`: `aa:nn` of two 16-bit halves, or `aa:nn:mm` of three 32-bit parts. */
export interface CommunityDefinition {
  name?: string;
  value?: string;
}

export interface BGPConfigurationSpec {
  logSeverityScreen?: string;
  nodeToNodeMeshEnabled?: boolean;
  asNumber?: number | string;
  listenPort?: number;
  bindMode?: 'None' | 'NodeIP';
  serviceClusterIPs?: ServiceBlock[];
  serviceExternalIPs?: ServiceBlock[];
  serviceLoadBalancerIPs?: ServiceBlock[];
  serviceLoadBalancerAggregation?: 'Enabled' | 'Disabled';
  communities?: CommunityDefinition[];
  prefixAdvertisements?: { cidr?: string; communities?: string[] }[];
  nodeMeshPassword?: { secretKeyRef?: SecretKeyRef };
  /** Go duration. */
  nodeMeshMaxRestartTime?: string;
  ignoredInterfaces?: string[];
  localWorkloadPeeringIPV4?: string;
  localWorkloadPeeringIPV6?: string;
  programClusterRoutes?: 'Enabled' | 'Disabled' | 'EnabledIPIPOnly' | 'EnabledNoEncapOnly';
  ipv4NormalRoutePriority?: number;
  ipv6NormalRoutePriority?: number;
}
/** `default`, or `node.<node>`. */
export type BGPConfiguration = Resource<'BGPConfiguration', BGPConfigurationSpec>;

export interface BGPPeerSpec {
  node?: string;
  nodeSelector?: string;
  /** `ip`, `ip:port` or `[ip6]:port`. */
  peerIP?: string;
  peerSelector?: string;
  localWorkloadSelector?: string;
  asNumber?: number | string;
  localASNumber?: number | string;
  keepOriginalNextHop?: boolean;
  nextHopMode?: 'Auto' | 'Self' | 'Keep';
  password?: { secretKeyRef?: SecretKeyRef };
  sourceAddress?: 'UseNodeIP' | 'None';
  /** Go durations. */
  maxRestartTime?: string;
  keepaliveTime?: string;
  numAllowedLocalASNumbers?: number;
  ttlSecurity?: number;
  reachableBy?: string;
  filters?: string[];
  reversePeering?: 'Auto' | 'Manual';
}
export type BGPPeer = Resource<'BGPPeer', BGPPeerSpec>;

export interface FilterOperation {
  addCommunity?: { value: string };
  /** The first stands first in the path. */
  prependASPath?: { prefix: (number | string)[] };
  setPriority?: { value: number };
}
/** All conditions that are there must hold; none holds always. */
export interface FilterRule {
  cidr?: string;
  matchOperator?: 'Equal' | 'NotEqual' | 'In' | 'NotIn';
  prefixLength?: { min?: number; max?: number };
  source?: 'RemotePeers';
  /** May hold `*`. */
  interface?: string;
  peerType?: 'eBGP' | 'iBGP';
  communities?: { values: string[] };
  asPathPrefix?: (number | string)[];
  priority?: number;
  action: 'Accept' | 'Reject';
  operations?: FilterOperation[];
}
export interface BGPFilterSpec {
  exportV4?: FilterRule[];
  importV4?: FilterRule[];
  exportV6?: FilterRule[];
  importV6?: FilterRule[];
}
export type BGPFilter = Resource<'BGPFilter', BGPFilterSpec>;
