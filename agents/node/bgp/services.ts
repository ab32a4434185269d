// Which networks and single addresses of Kubernetes Services this node announces (docs/bgp-resources.md "Services"): pure.

import type { BGPConfigurationSpec, ServiceBlock } from '../../../lib/model/bgp-types.ts';
import type { EndpointSlice, Service } from '../../../lib/model/kubernetes-service-types.ts';
import { SERVICE_NAME_LABEL } from '../../../lib/model/kubernetes-service-types.ts';
import {
  type Cidr,
  cidrContains,
  familyBits,
  formatCidr,
  hostCidr,
  parseCidr,
  parseIp,
} from '../../../lib/net/ip.ts';
import type { BgpNode } from './node-table.ts';

/** On a node that is to attract no traffic of services. */
const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';

export interface ServiceInputs {
  readonly self: BgpNode;
  readonly configuration: BGPConfigurationSpec;
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
}

export interface ServiceRoutes {
  /** Canonical, sorted. */
  readonly announced: readonly string[];
  /** Networks that every node announces: as a route here they would lead to one of the others. */
  readonly notInstalled: readonly string[];
}

interface Blocks {
  readonly cluster: readonly Cidr[];
  readonly external: readonly Cidr[];
  readonly loadBalancer: readonly Cidr[];
}

/** Whether anything of services is announced at all: without it nobody needs to know them. */
export function announcesServices(spec: BGPConfigurationSpec): boolean {
  const { serviceClusterIPs = [], serviceExternalIPs = [], serviceLoadBalancerIPs = [] } = spec;
  return serviceClusterIPs.length + serviceExternalIPs.length + serviceLoadBalancerIPs.length > 0;
}

export function serviceRoutes(inputs: ServiceInputs): ServiceRoutes {
  const { configuration, self } = inputs;
  const blocks = {
    cluster: parsed(configuration.serviceClusterIPs),
    external: parsed(configuration.serviceExternalIPs),
    loadBalancer: parsed(configuration.serviceLoadBalancerIPs),
  };
  const whole = wholeNetworks(blocks, isAggregated(configuration));
  if (self.labels[EXCLUDE_LABEL] === 'true') return { announced: [], notInstalled: whole };
  const slicesOf = slicesByService(inputs.endpointSlices);
  const single = inputs.services
    .filter((service) => isAnnounced(service, blocks, slicesOf, inputs))
    .flatMap((service) => addressesOf(service, blocks));
  return { announced: [...new Set([...whole, ...single])].sort(), notInstalled: whole };
}

function parsed(list: readonly ServiceBlock[] | undefined): Cidr[] {
  return (list ?? []).flatMap(({ cidr }) => parseCidr(cidr ?? '') ?? []);
}

function isAggregated({ serviceLoadBalancerAggregation }: BGPConfigurationSpec): boolean {
  return serviceLoadBalancerAggregation !== 'Disabled';
}

/** A single address is announced with its service. Cluster addresses are announced whole in any case. */
function wholeNetworks(blocks: Blocks, isLoadBalancerWhole: boolean): string[] {
  const all = [...blocks.cluster, ...blocks.external, ...(isLoadBalancerWhole ? blocks.loadBalancer : [])];
  return [...new Set(all.filter((block) => !isSingle(block)).map(formatCidr))].sort();
}

/** Whether this node announces the service's own addresses. */
function isAnnounced(
  service: Service,
  blocks: Blocks,
  slicesOf: SlicesOf,
  { self, configuration }: ServiceInputs,
): boolean {
  const { spec = {} } = service;
  if (!['ClusterIP', 'NodePort', 'LoadBalancer'].includes(spec.type ?? 'ClusterIP')) return false;
  if (spec.clusterIP === undefined || spec.clusterIP === '' || spec.clusterIP === 'None') return false;
  const ready = (): ReadyEndpoint[] => readyEndpoints(service, slicesOf);
  if (spec.externalTrafficPolicy === 'Local') return ready().some(({ node }) => node === self.name);
  if (spec.externalTrafficPolicy !== 'Cluster') return false;
  if (hasSingleAddress(service, blocks)) return true;
  return !isAggregated(configuration) && ready().length > 0;
}

function hasSingleAddress({ spec = {}, status }: Service, blocks: Blocks): boolean {
  const loadBalancer = [spec.loadBalancerIP, ...(status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip)];
  if (
    spec.type === 'LoadBalancer' &&
    loadBalancer.some((ip) => isIn(ip, blocks.loadBalancer.filter(isSingle)))
  )
    return true;
  return (spec.externalIPs ?? []).some((ip) => isIn(ip, blocks.external.filter(isSingle)));
}

type SlicesOf = (service: Service) => readonly EndpointSlice[];

/** Sorted once: there may be thousands of either. */
function slicesByService(slices: readonly EndpointSlice[]): SlicesOf {
  const key = (namespace = '', name = ''): string => `${namespace}/${name}`;
  const byService = Map.groupBy(slices, ({ metadata: { namespace, labels } }) =>
    key(namespace, labels?.[SERVICE_NAME_LABEL]),
  );
  return ({ metadata: { namespace, name } }) => byService.get(key(namespace, name)) ?? [];
}

interface ReadyEndpoint {
  readonly node: string | undefined;
}

/** Of the families of the service. An endpoint that does not say whether it is ready is. */
function readyEndpoints(service: Service, slicesOf: SlicesOf): ReadyEndpoint[] {
  const families = familiesOf(service);
  return slicesOf(service)
    .filter(({ addressType }) => families.has(addressType))
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .map(({ nodeName }) => ({ node: nodeName }));
}

function familiesOf({ spec = {} }: Service): ReadonlySet<string> {
  const addresses = spec.clusterIPs ?? [spec.clusterIP ?? ''];
  return new Set(spec.ipFamilies ?? addresses.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4')));
}

function addressesOf({ spec = {}, status }: Service, blocks: Blocks): string[] {
  const cluster = spec.clusterIPs ?? [spec.clusterIP ?? ''];
  const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? '');
  return [
    ...(blocks.cluster.length > 0 ? cluster : []),
    ...(spec.externalIPs ?? []).filter((ip) => isIn(ip, blocks.external)),
    ...ingress.filter((ip) => isIn(ip, blocks.loadBalancer)),
  ].flatMap((text) => {
    const address = parseIp(text);
    return address === undefined ? [] : formatCidr(hostCidr(address));
  });
}

function isIn(text: string | undefined, networks: readonly Cidr[]): boolean {
  const address = text === undefined ? undefined : parseIp(text);
  return address !== undefined && networks.some((network) => cidrContains(network, address));
}

function isSingle({ family, length }: Cidr): boolean {
  return length === familyBits(family);
}
