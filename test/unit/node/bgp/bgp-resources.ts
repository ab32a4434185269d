// Short ways to write the resources that a node's BGP is made of.
import type { BgpResources } from '../../../../agents/node/bgp/expand.ts';
import type {
  BGPConfiguration,
  BGPConfigurationSpec,
  BGPFilter,
  BGPFilterSpec,
  BGPPeer,
  BGPPeerSpec,
} from '../../../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool } from '../../../../lib/model/endpoint-types.ts';

const apiVersion = 'projectcalico.org/v3';

export interface NodeOptions {
  readonly bgp?: object;
  readonly labels?: Record<string, string>;
  readonly revision?: string;
}

export const node = (name: string, ipv4: string | undefined, options: NodeOptions = {}): CalicoNode => ({
  apiVersion,
  kind: 'Node',
  metadata: { name, resourceVersion: options.revision ?? '1', labels: options.labels ?? {} },
  spec: { bgp: { ...(ipv4 === undefined ? {} : { ipv4Address: ipv4 }), ...options.bgp } },
});
export const pool = (cidr: string, spec: object = {}): IPPool => ({
  apiVersion,
  kind: 'IPPool',
  metadata: { name: cidr },
  spec: { cidr, ...spec },
});
export const configuration = (spec: BGPConfigurationSpec, name = 'default'): BGPConfiguration => ({
  apiVersion,
  kind: 'BGPConfiguration',
  metadata: { name },
  spec,
});
export const peer = (name: string, spec: BGPPeerSpec): BGPPeer => ({
  apiVersion,
  kind: 'BGPPeer',
  metadata: { name },
  spec,
});
export const filter = (name: string, spec: BGPFilterSpec): BGPFilter => ({
  apiVersion,
  kind: 'BGPFilter',
  metadata: { name },
  spec,
});

/** Three nodes, one pool, one block of node-1; whatever is given instead. */
export const resources = (changes: Partial<BgpResources> = {}): BgpResources => ({
  node: 'node-1',
  nodes: [
    node('node-1', '172.30.0.11/24'),
    node('node-2', '172.30.0.12/24'),
    node('node-3', '172.30.0.13/24'),
  ],
  configurations: [],
  peers: [],
  filters: [],
  pools: [pool('10.65.0.0/16')],
  blocks: [{ cidr: '10.65.0.0/26', isConfirmed: true }],
  services: [],
  endpointSlices: [],
  localPeers: [],
  routerId: undefined,
  clusterIps: undefined,
  ...changes,
});
