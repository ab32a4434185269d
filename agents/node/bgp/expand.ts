// A node's BGP in both families from the resources of the datastore (what calico-node's confd works out): pure. The same
// resources give the same intent, whatever their order.

import type {
  BGPConfiguration,
  BGPConfigurationSpec,
  BGPFilter,
  BGPPeer,
} from '../../../lib/model/bgp-types.ts';
import type { CalicoNode, IPPool } from '../../../lib/model/endpoint-types.ts';
import type { EndpointSlice, Service } from '../../../lib/model/kubernetes-service-types.ts';
import { communityParts } from '../../../lib/model/validation/formats.ts';
import { type Family, familyBits, formatCidr, hostCidr, parseCidr, parseIp } from '../../../lib/net/ip.ts';
import type { CommunityIntent, FamilyIntent, FilterIntent, InstallIntent, PeerIntent } from './intent.ts';
import { addressOf, type BgpNode, NodeTable } from './node-table.ts';
import { expandPeers, type LocalPeer } from './peers.ts';
import { routerIdOf } from './router-id.ts';
import { type ServiceRoutes, serviceRoutes } from './services.ts';

const DEFAULT_PRIORITY = 1024;

export interface BgpResources {
  readonly node: string;
  readonly nodes: readonly CalicoNode[];
  /** `default`, and `node.NAME`. */
  readonly configurations: readonly BGPConfiguration[];
  readonly peers: readonly BGPPeer[];
  readonly filters: readonly BGPFilter[];
  readonly pools: readonly IPPool[];
  /** Confirmed blocks of this node, and those that it is about to give back. */
  readonly blocks: readonly { readonly cidr: string; readonly isConfirmed: boolean }[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly localPeers: readonly LocalPeer[];
  /** `hash`, an IPv4 address, or undefined for the node's own address. */
  readonly routerId: string | undefined;
  /** Networks that stand in place of `serviceClusterIPs`; undefined: those count. */
  readonly clusterIps: readonly string[] | undefined;
}

/** Undefined while this node is not in the datastore. */
export function expandBgp(resources: BgpResources): Readonly<Record<Family, FamilyIntent>> | undefined {
  const table = new NodeTable(resources.nodes, resources.configurations);
  const self = table.get(resources.node);
  if (self === undefined) return undefined;
  const configuration = clusterSpec(resources);
  const { services, endpointSlices } = resources;
  const routes = serviceRoutes({ self, configuration, services, endpointSlices });
  const intent = (family: Family): FamilyIntent => familyIntent(family, self, table, routes, resources);
  return { 4: intent(4), 6: intent(6) };
}

/** Settings of the cluster: what one node may have otherwise is taken from its own object where it is used. */
export function clusterSpec({
  configurations,
  clusterIps,
}: Pick<BgpResources, 'configurations' | 'clusterIps'>): BGPConfigurationSpec {
  const spec = configurations.find(({ metadata }) => metadata.name === 'default')?.spec ?? {};
  return clusterIps === undefined
    ? spec
    : { ...spec, serviceClusterIPs: clusterIps.map((cidr) => ({ cidr })) };
}

function familyIntent(
  family: Family,
  self: BgpNode,
  table: NodeTable,
  routes: ServiceRoutes,
  resources: BgpResources,
): FamilyIntent {
  const configuration = clusterSpec(resources);
  const address = addressOf(self, family);
  const byName = new Map(resources.filters.map((filter) => [filter.metadata.name, filter]));
  const peers = expandPeers({
    self,
    family,
    table,
    configuration,
    peers: resources.peers,
    localPeers: resources.localPeers,
    hasFilter: (name) => byName.has(name),
  });
  const blocks = resources.blocks.filter(({ cidr }) => isFamily(cidr, family));
  const confirmed = blocks.filter(({ isConfirmed }) => isConfirmed).map(({ cidr }) => cidr);
  const pools = resources.pools.filter(({ spec }) => isFamily(spec?.cidr ?? '', family));
  return {
    family,
    address,
    routerId: routerIdOf(resources.routerId, self),
    asn: self.asn,
    clusterId: self.clusterId,
    listen: {
      address: configuration.bindMode === 'NodeIP' ? address : undefined,
      port: self.listenPort,
    },
    peers,
    filters: filtersOf(peers, byName, family),
    communities: communitiesOf(resources, self).filter(({ cidr }) => isFamily(cidr, family)),
    notDirect: [...(configuration.ignoredInterfaces ?? []), 'cali*', 'kube-ipvs*'],
    aggregates: confirmed,
    blackholes: blocks.map(({ cidr }) => cidr).filter((cidr) => !isSingle(cidr)),
    services: routes.announced.filter((cidr) => isFamily(cidr, family)),
    notInstalled: routes.notInstalled.filter((cidr) => isFamily(cidr, family)),
    via: gatewaysOf(peers),
    notToSameAs: ['*.cali', '*.calico', ...(programs(configuration).ipip ? [] : ['tunl0'])],
    refused: pools.filter(isHidden).map(cidrOf),
    announced: [
      ...(self.clusterId === undefined ? [] : reflectedServices(configuration, family)),
      ...pools.filter((pool) => !isHidden(pool)).map(cidrOf),
    ],
    routePriority:
      (family === 4 ? configuration.ipv4NormalRoutePriority : configuration.ipv6NormalRoutePriority) ??
      DEFAULT_PRIORITY,
    install: pools.flatMap((pool) => installOf(pool, family, configuration, self)),
  };
}

function filtersOf(
  peers: readonly PeerIntent[],
  byName: ReadonlyMap<string, BGPFilter>,
  family: Family,
): ReadonlyMap<string, FilterIntent> {
  const names = [...new Set(peers.flatMap(({ filters }) => filters))].sort();
  return new Map(
    names.map((name) => {
      const spec = byName.get(name)?.spec ?? {};
      const [imports, exports] =
        family === 4 ? [spec.importV4, spec.exportV4] : [spec.importV6, spec.exportV6];
      return [name, { imports: imports ?? [], exports: exports ?? [] }];
    }),
  );
}

/** A node's own list replaces the cluster's; names are of the same object. */
function communitiesOf({ configurations }: BgpResources, self: BgpNode): CommunityIntent[] {
  const specs = [`node.${self.name}`, 'default'].map(
    (name) => configurations.find(({ metadata }) => metadata.name === name)?.spec,
  );
  const spec = specs.find((candidate) => candidate?.prefixAdvertisements !== undefined) ?? {};
  return (spec.prefixAdvertisements ?? []).flatMap(({ cidr, communities = [] }) => {
    const values = communities.flatMap((text) =>
      communityParts(text) === undefined
        ? (spec.communities?.find(({ name }) => name === text)?.value ?? [])
        : text,
    );
    return cidr === undefined || values.length === 0 ? [] : { cidr, add: [...new Set(values)].sort() };
  });
}

function gatewaysOf(peers: readonly PeerIntent[]): { cidr: string; via: string }[] {
  const routes = peers.flatMap(({ address, reachableBy }) => {
    const parsed = parseIp(address);
    return reachableBy === undefined || parsed === undefined
      ? []
      : { cidr: formatCidr(hostCidr(parsed)), via: reachableBy };
  });
  return [...new Map(routes.map((route) => [route.cidr, route])).values()];
}

/** A reflector passes on what its clients announce of services too. */
function reflectedServices(configuration: BGPConfigurationSpec, family: Family): string[] {
  const { serviceLoadBalancerIPs = [], serviceExternalIPs = [] } = configuration;
  return [...serviceLoadBalancerIPs, ...serviceExternalIPs]
    .map(({ cidr = '' }) => cidr)
    .filter((cidr) => isFamily(cidr, family));
}

/** Whose routes BGP programs; Felix has the rest. */
function programs({ programClusterRoutes }: BGPConfigurationSpec): { ipip: boolean; plain: boolean } {
  switch (programClusterRoutes) {
    case 'Enabled':
      return { ipip: true, plain: true };
    case 'EnabledIPIPOnly':
      return { ipip: true, plain: false };
    case 'Disabled':
      return { ipip: false, plain: false };
    default:
      return { ipip: false, plain: true };
  }
}

function installOf(
  pool: IPPool,
  family: Family,
  configuration: BGPConfigurationSpec,
  self: BgpNode,
): InstallIntent[] {
  const cidr = cidrOf(pool);
  const { ipipMode = 'Never', vxlanMode = 'Never' } = pool.spec ?? {};
  const { ipip, plain } = programs(configuration);
  const isProgrammed = vxlanMode === 'Never' && (ipipMode === 'Never' ? plain : ipip);
  if (!isProgrammed) return [{ cidr, action: 'reject' }];
  // IPv6 has no IPIP, and what is not refused is accepted anyway.
  if (family === 6) return [];
  if (ipipMode === 'Never') return [{ cidr, action: 'accept' }];
  const subnet = parseCidr(self.ipv4Subnet ?? '');
  const isCrossSubnet = ipipMode === 'CrossSubnet' && subnet !== undefined;
  return [
    {
      cidr,
      action: 'accept',
      tunnel: 'tunl0',
      ...(isCrossSubnet ? { noTunnelWithin: formatCidr(subnet) } : {}),
    },
  ];
}

function isHidden({ spec }: IPPool): boolean {
  return spec?.disableBGPExport === true;
}

function cidrOf({ spec }: IPPool): string {
  const parsed = parseCidr(spec?.cidr ?? '');
  return parsed === undefined ? '' : formatCidr(parsed);
}

function isFamily(cidr: string, family: Family): boolean {
  return parseCidr(cidr)?.family === family;
}

function isSingle(cidr: string): boolean {
  const parsed = parseCidr(cidr);
  return parsed !== undefined && parsed.length === familyBits(parsed.family);
}
