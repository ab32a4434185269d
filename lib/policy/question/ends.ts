// The two ends of a question, as people name them: `shop/web`, `pod/shop/web`, the name of a WorkloadEndpoint, `hostendpoint/eth`,
// `node/n1`, an address, `external`.

import { workloadEndpointName } from '../../model/workload-endpoint-name.ts';
import {
  type Cidr,
  cidrContains,
  type Family,
  formatCidr,
  formatIp,
  hostCidr,
  type IpAddress,
  parseCidr,
  parseIp,
} from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import type { CompiledHostEndpoint, CompiledRule, CompiledWorkloadEndpoint } from '../compiled.ts';
import { hostSettings } from '../evaluation/host-settings.ts';
import { locate } from '../evaluation/locate.ts';
import { QuestionError } from './question-error.ts';

export type End =
  | { readonly type: 'workload'; readonly endpoint: CompiledWorkloadEndpoint }
  | { readonly type: 'hostEndpoint'; readonly endpoint: CompiledHostEndpoint }
  | { readonly type: 'host'; readonly host: string }
  | { readonly type: 'address'; readonly address: IpAddress }
  /** Somebody whom neither the cluster nor any rule or set names. */
  | { readonly type: 'external' };

const HOW =
  'name NAMESPACE/POD, pod/NAMESPACE/POD, workloadendpoint/NAMESPACE/NAME, hostendpoint/NAME, node/NAME, an address, or external';
const DEFAULT_NAMESPACE = 'default';
const MAX_SUGGESTIONS = 5;

/** Throws QuestionError for whom the cluster does not have. A name without namespace is one of `namespace`. */
export function parseEnd(cluster: PolicyCluster, text: string, namespace = DEFAULT_NAMESPACE): End {
  if (text === 'external') return { type: 'external' };
  const address = parseIp(text);
  if (address !== undefined) return { type: 'address', address };
  const [first = '', ...rest] = text.split('/');
  switch (rest.length === 0 ? '' : first) {
    case 'node':
    case 'host':
      if (rest.length === 1) return hostEnd(cluster, rest[0] ?? '', text);
      break;
    case 'hostendpoint':
    case 'hep':
      if (rest.length === 1) return hostEndpointEnd(cluster, rest[0] ?? '', text);
      break;
    case 'pod':
    case 'workloadendpoint':
    case 'wep':
      return workloadEnd(cluster, rest, namespace, text);
  }
  return workloadEnd(cluster, [first, ...rest], namespace, text);
}

function hostEnd(cluster: PolicyCluster, host: string, text: string): End {
  const hosts = [...cluster.hostAddresses.keys()];
  if (hosts.includes(host)) return { type: 'host', host };
  throw unknownEnd(text, `there is no node ${host}`, hosts);
}

function hostEndpointEnd(cluster: PolicyCluster, name: string, text: string): End {
  const all = [...cluster.hostEndpoints.values()];
  const endpoint = all.find(({ id }) => id.endpoint === name);
  if (endpoint !== undefined) return { type: 'hostEndpoint', endpoint };
  throw unknownEnd(
    text,
    `there is no host endpoint ${name}`,
    all.map(({ id }) => id.endpoint),
  );
}

function workloadEnd(
  cluster: PolicyCluster,
  parts: readonly string[],
  defaultNamespace: string,
  text: string,
): End {
  const [namespace = '', name = ''] = parts.length === 1 ? [defaultNamespace, parts[0] ?? ''] : parts;
  if (parts.length > 2 || name === '') throw unknownEnd(text, `${JSON.stringify(text)} is nobody`, []);
  const all = [...cluster.workloadEndpoints.values()];
  const found = all.filter(
    (endpoint) =>
      endpoint.id.workload === `${namespace}/${name}` ||
      (endpoint.id.workload.startsWith(`${namespace}/`) && endpointName(endpoint) === name),
  );
  const [endpoint, ...more] = found;
  if (endpoint === undefined) {
    throw unknownEnd(
      text,
      `there is no workload ${namespace}/${name} with an address`,
      all.map(({ id }) => id.workload),
    );
  }
  if (more.length === 0) return { type: 'workload', endpoint };
  const names = found.map((each) => `workloadendpoint/${namespace}/${endpointName(each) ?? ''}`);
  throw new QuestionError(
    { code: 'ambiguousEnd', text, names },
    `workload ${namespace}/${name} has ${found.length} endpoints`,
    `name one: ${names.slice(0, MAX_SUGGESTIONS).join(', ')}`,
  );
}

/** The name of the WorkloadEndpoint. */
function endpointName({ id }: CompiledWorkloadEndpoint): string | undefined {
  const workload = id.workload.slice(id.workload.indexOf('/') + 1);
  const third = { pod: workload, containerID: workload, workload };
  const named = workloadEndpointName({
    node: id.host,
    orchestrator: id.orchestrator,
    endpoint: id.endpoint,
    ...third,
  });
  return named.ok ? named.name : undefined;
}

function unknownEnd(text: string, message: string, known: readonly string[]): QuestionError {
  const wanted = text.split('/').at(-1) ?? text;
  const near = known.filter((name) => name.includes(wanted)).slice(0, MAX_SUGGESTIONS);
  return new QuestionError(
    { code: 'unknownEnd', text },
    message,
    near.length === 0 ? HOW : `did you mean ${near.join(', ')}?`,
  );
}

/** The end's name, which `parseEnd` reads again. */
export function formatEnd(end: End): string {
  switch (end.type) {
    case 'workload':
      return end.endpoint.id.workload;
    case 'hostEndpoint':
      return `hostendpoint/${end.endpoint.id.endpoint}`;
    case 'host':
      return `node/${end.host}`;
    case 'address':
      return formatIp(end.address);
    case 'external':
      return 'external';
  }
}

/** The address by which the end takes part in a family, the first of several; undefined if it has none. */
export function addressOf(cluster: PolicyCluster, end: End, family: Family): IpAddress | undefined {
  switch (end.type) {
    case 'workload':
      return firstNet(family === 4 ? end.endpoint.nets4 : end.endpoint.nets6, family);
    case 'hostEndpoint':
      return hostEndpointAddress(cluster, end.endpoint, family);
    case 'host':
      return hostAddress(cluster, end.host, family);
    case 'address':
      return end.address.family === family ? end.address : undefined;
    case 'external':
      return externalAddress(cluster, family);
  }
}

function firstNet(nets: readonly string[], family: Family): IpAddress | undefined {
  const cidr = nets.map(parseCidr).find((net) => net?.family === family);
  return cidr === undefined ? undefined : { family, value: cidr.base };
}

/** That of its host which it expects, else any of its host's. */
function hostEndpointAddress(
  cluster: PolicyCluster,
  { id, expectedIps }: CompiledHostEndpoint,
  family: Family,
): IpAddress | undefined {
  const own = (cluster.hostAddresses.get(id.host) ?? []).filter((address) => address.family === family);
  const expected = own.find((address) => expectedIps.includes(formatCidr(hostCidr(address))));
  return expected ?? own[0] ?? firstNet(expectedIps, family);
}

function hostAddress(cluster: PolicyCluster, host: string, family: Family): IpAddress | undefined {
  return cluster.hostAddresses.get(host)?.find((address) => address.family === family);
}

/** Documentation's networks (RFC 5737, 3849), then benchmarking's (RFC 2544, 5180). */
const OUTSIDE = {
  4: ['203.0.113.1', '198.51.100.1', '192.0.2.1', '198.18.0.1', '198.19.255.254', '100.127.255.254'],
  6: ['2001:db8:ffff::1', '2001:db8::1', '2001:2::1', '2001:2:0:ffff::1'],
} as const;

/** An address that belongs to nobody in the cluster, to no network set, and to no network of a rule but all addresses. */
function externalAddress(cluster: PolicyCluster, family: Family): IpAddress | undefined {
  const nets = ruleNets(cluster).filter((net) => net.family === family && net.length > 0);
  return OUTSIDE[family]
    .map(parseIp)
    .filter((address) => address !== undefined)
    .find(
      (address) =>
        locate(cluster, address).type === 'external' &&
        cluster.identities.identitiesOf(address).length === 0 &&
        !nets.some((net) => cidrContains(net, address)),
    );
}

/** Every network that some rule names, or a failsafe port of a host with host endpoints, each once. */
export function ruleNets(cluster: PolicyCluster): readonly Cidr[] {
  const texts = new Set<string>();
  for (const { ingress, egress } of [...cluster.policies.values(), ...cluster.profiles.values()]) {
    for (const rule of [...ingress, ...egress]) for (const net of netsOf(rule)) texts.add(net);
  }
  for (const net of failsafeNets(cluster)) texts.add(formatCidr(net));
  return [...texts].map(parseCidr).filter((net) => net !== undefined);
}

function failsafeNets(cluster: PolicyCluster): readonly Cidr[] {
  const hosts = new Set([...cluster.hostEndpoints.values()].map(({ id }) => id.host));
  return [...hosts].flatMap((host) => {
    const { failsafeInbound, failsafeOutbound } = hostSettings(host, cluster);
    return [...failsafeInbound, ...failsafeOutbound].flatMap(({ net }) => net ?? []);
  });
}

function netsOf({ source, destination }: CompiledRule): readonly string[] {
  return [...source.nets, ...source.notNets, ...destination.nets, ...destination.notNets];
}
