// The cluster of a test as v3 resources: manifests of Calico's and Kubernetes' kinds as they are, and a short form for
// namespaces, nodes and workloads. What a test does not care about (addresses, nodes) is filled in.

import { leftOut, mirroredPolicy } from '../../conversion/mirrored-policy.ts';
import { convertPod, podInterfaceName } from '../../conversion/pod.ts';
import {
  convertNamespace,
  convertServiceAccount,
  namespaceProfileName,
  serviceAccountProfileName,
} from '../../conversion/profiles.ts';
import type { WorkloadEndpoint } from '../../model/endpoint-types.ts';
import { CALICO_API_VERSION } from '../../model/kinds.ts';
import type { Pod } from '../../model/kubernetes-pod-types.ts';
import type { Namespace, ServiceAccount } from '../../model/kubernetes-types.ts';
import type { Resource } from '../../model/metadata.ts';
import { applyDefaults } from '../../model/validation/defaults.ts';
import { BUILT_IN_TIERS } from '../../model/validation/policy-schemas.ts';
import { workloadEndpointName } from '../../model/workload-endpoint-name.ts';
import { formatIp, parseIp } from '../../net/ip.ts';
import { workloadEndpointIdOf } from '../endpoints.ts';
import { QuestionError } from '../question/question-error.ts';
import { parseTraffic, protocolName } from '../question/traffic.ts';
import type { TestCluster } from './schema.ts';

export interface TestResources {
  readonly resources: readonly Resource[];
  /** What was passed over or not understood, a sentence each. */
  readonly notes: readonly string[];
}

/** Of pods' endpoints. */
const ORCHESTRATOR = 'k8s';
const POD_ENDPOINT = 'eth0';
const DEFAULT_NODE = 'node-1';
const POD_NETWORK = '10.244.0.0';
const NODE_NETWORK = '172.31.0.0';
/** As every datastore holds them. */
const TIERS: readonly Resource[] = Object.entries(BUILT_IN_TIERS).map(([name, spec]) => ({
  apiVersion: CALICO_API_VERSION,
  kind: 'Tier',
  metadata: { name },
  spec,
}));

/** `objects` are those of the files and of the test itself; `live` those that are there already. */
export function testResources(
  { namespaces = {}, nodes = {}, workloads = {} }: TestCluster,
  objects: readonly Resource[],
  live: readonly Resource[] = [],
): TestResources {
  const notes: string[] = [];
  const addresses = new AddressSource(
    [...objects, ...live],
    [
      ...Object.values(nodes).flat(),
      ...Object.values(workloads).flatMap((workload) => workload?.addresses ?? []),
    ],
  );
  const filler: Filler = { addresses, pods: podEndpoints(live) };
  const given = [
    ...Object.entries(namespaces).map(([name, labels]) => namespaceObject(name, labels ?? {})),
    ...objects,
  ].flatMap((object) => toCalico(object, filler, notes));
  const short = Object.entries(workloads).map(([name, workload]) =>
    workloadResource(name, workload ?? {}, filler),
  );
  const own = [...given, ...short];
  const resources = [
    ...withoutReplaced(live, own),
    ...own,
    ...Object.entries(nodes).map(([name, texts]) => nodeResource(name, texts)),
  ];
  return { resources: [...resources, ...missing(resources, addresses)], notes };
}

/** Where that comes from which a test does not say of a workload: from the pod that is there, else made up. */
interface Filler {
  readonly addresses: AddressSource;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, WorkloadEndpoint>;
}

function podEndpoints(live: readonly Resource[]): Filler['pods'] {
  const ofPods = live.filter(isEndpoint).flatMap((endpoint) => {
    const id = workloadEndpointIdOf(endpoint);
    const isOfPod = id?.orchestrator === ORCHESTRATOR && id.endpoint === POD_ENDPOINT;
    return isOfPod ? [[id.workload, endpoint] as const] : [];
  });
  return new Map(ofPods);
}

function isEndpoint(resource: Resource): resource is WorkloadEndpoint {
  return resource.kind === 'WorkloadEndpoint';
}

/** What the test brings takes the place of what is there. */
function withoutReplaced(live: readonly Resource[], own: readonly Resource[]): readonly Resource[] {
  const replaced = new Set(own.map(identityOf));
  return live.filter((resource) => !replaced.has(identityOf(resource)));
}

function identityOf(resource: Resource): string {
  const { kind, metadata } = resource;
  const id = isEndpoint(resource) ? workloadEndpointIdOf(resource) : undefined;
  // The name has the node in it: a workload is the same one on another.
  if (id !== undefined) return `${kind}/${id.orchestrator}/${id.workload}/${id.endpoint}`;
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

function toCalico(object: Resource, filler: Filler, notes: string[]): Resource[] {
  const { apiVersion, kind, metadata } = object;
  switch (`${apiVersion} ${kind}`) {
    case 'v1 Namespace':
      return [convertNamespace(object as Namespace)];
    case 'v1 ServiceAccount':
      return [convertServiceAccount(object as ServiceAccount)];
    case 'v1 Pod':
      return podEndpoint(object as Pod, filler, notes);
    case 'discovery.k8s.io/v1 EndpointSlice':
      return [object];
  }
  const mirrored = mirroredPolicy(object);
  if (mirrored !== undefined) {
    notes.push(...mirrored.problems.map((problem) => leftOut(object, problem)));
    return mirrored.policy === undefined ? [] : [mirrored.policy];
  }
  if (apiVersion === CALICO_API_VERSION) return [applyDefaults(object)];
  notes.push(`${kind} ${metadata.name} (${apiVersion}) has no part in policy and is passed over`);
  return [];
}

/** A pod of a manifest has no node, account and address yet. */
function podEndpoint(pod: Pod, { addresses, pods }: Filler, notes: string[]): Resource[] {
  const { namespace = 'default', name } = pod.metadata;
  const there = pods.get(`${namespace}/${name}`)?.spec;
  const hasAddress = pod.status?.podIP !== undefined || (pod.status?.podIPs ?? []).length > 0;
  const networks = there?.ipNetworks ?? [addresses.next(POD_NETWORK)];
  const podIPs = networks.map((network) => ({ ip: network.split('/')[0] }));
  const account = pod.spec?.serviceAccountName ?? pod.spec?.serviceAccount ?? there?.serviceAccountName;
  const placed = {
    ...pod,
    spec: {
      ...pod.spec,
      nodeName: pod.spec?.nodeName ?? there?.node ?? DEFAULT_NODE,
      ...(account === undefined ? {} : { serviceAccountName: account }),
    },
    status: hasAddress ? pod.status : { ...pod.status, podIPs },
  } as Pod;
  const converted = convertPod(placed);
  if (converted.ok) return [converted.endpoint];
  notes.push(`Pod ${pod.metadata.name} is passed over: ${converted.problem.code}`);
  return [];
}

function workloadResource(
  fullName: string,
  short: ShortWorkload,
  { addresses, pods }: Filler,
): WorkloadEndpoint {
  const [namespace = '', pod = ''] = fullName.split('/');
  const there = pods.get(fullName);
  const node = short.node ?? there?.spec?.node ?? DEFAULT_NODE;
  const labels = short.labels ?? there?.metadata.labels ?? {};
  const account = short.serviceAccount ?? there?.spec?.serviceAccountName;
  const networks = short.addresses?.map(asNetwork) ?? there?.spec?.ipNetworks;
  const ports = Object.entries(short.ports ?? {}).map(([name, text]) => namedPort(name, text));
  const named = workloadEndpointName({ node, orchestrator: ORCHESTRATOR, pod, endpoint: POD_ENDPOINT });
  return {
    apiVersion: CALICO_API_VERSION,
    kind: 'WorkloadEndpoint',
    metadata: { name: named.ok ? named.name : pod, namespace, labels: { ...labels } },
    spec: {
      interfaceName: podInterfaceName(namespace, pod),
      ...there?.spec,
      orchestrator: ORCHESTRATOR,
      node,
      pod,
      endpoint: POD_ENDPOINT,
      ipNetworks: networks ?? [asNetwork(addresses.next(POD_NETWORK))],
      profiles: [
        namespaceProfileName(namespace),
        ...(account === undefined ? [] : [serviceAccountProfileName(namespace, account)]),
      ],
      ...(account === undefined ? {} : { serviceAccountName: account }),
      ports: short.ports === undefined ? (there?.spec?.ports ?? []) : ports,
    },
  };
}

type ShortWorkload = NonNullable<NonNullable<TestCluster['workloads']>[string]>;

function asNetwork(address: string): string {
  return address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`;
}

/** Throws QuestionError for what is no port. */
function namedPort(name: string, text: string): { name: string; protocol: string; port: number } {
  const traffic = parseTraffic(text);
  if (traffic.type !== 'port') {
    const message = `port ${name}: ${text} is not PROTOCOL/NUMBER`;
    throw new QuestionError({ code: 'badTraffic', text }, message);
  }
  return { name, protocol: protocolName(traffic.protocol).toUpperCase(), port: traffic.port };
}

/** What every cluster has: tiers; profiles of the namespaces and nodes that workloads name. */
function missing(resources: readonly Resource[], addresses: AddressSource): Resource[] {
  const names = (kind: string): Set<string> =>
    new Set(resources.filter((resource) => resource.kind === kind).map(({ metadata }) => metadata.name));
  const [tiers, profiles, nodes] = [names('Tier'), names('Profile'), names('Node')];
  const endpoints = resources.filter(isEndpoint);
  const namespaces = new Set(endpoints.map(({ metadata }) => metadata.namespace ?? 'default'));
  const hosts = new Set(endpoints.flatMap(({ spec }) => spec?.node ?? []));
  return [
    ...TIERS.filter(({ metadata }) => !tiers.has(metadata.name)),
    ...[...namespaces]
      .filter((name) => !profiles.has(namespaceProfileName(name)))
      .map((name) => convertNamespace(namespaceObject(name, {}))),
    ...missingAccounts(endpoints, profiles),
    ...[...hosts]
      .filter((name) => !nodes.has(name))
      .map((name) => nodeResource(name, [addresses.next(NODE_NETWORK)])),
  ];
}

/** An account that is only named has no labels; its profile must be there all the same, or it denies everything. */
function missingAccounts(endpoints: readonly WorkloadEndpoint[], profiles: ReadonlySet<string>): Resource[] {
  const byName = new Map<string, ServiceAccount>();
  for (const { metadata, spec } of endpoints) {
    const name = spec?.serviceAccountName;
    if (name === undefined) continue;
    const namespace = metadata.namespace ?? 'default';
    byName.set(serviceAccountProfileName(namespace, name), {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace },
    } as ServiceAccount);
  }
  return [...byName]
    .filter(([name]) => !profiles.has(name))
    .map(([, account]) => convertServiceAccount(account));
}

function namespaceObject(name: string, labels: Readonly<Record<string, string>>): Namespace {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    // As the API server labels every namespace.
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
  } as Namespace;
}

function nodeResource(name: string, addresses: readonly string[]): Resource {
  return {
    apiVersion: CALICO_API_VERSION,
    kind: 'Node',
    metadata: { name },
    spec: { addresses: addresses.map((address) => ({ address })) },
  };
}

/** Gives out addresses that nobody has. */
class AddressSource {
  readonly #taken: Set<string>;
  readonly #lastByNetwork = new Map<string, bigint>();

  constructor(resources: readonly Resource[], given: readonly string[]) {
    // Wherever in the objects an address is written, it is somebody's.
    const text = JSON.stringify(resources);
    const found = [...text.matchAll(/\d{1,3}(?:\.\d{1,3}){3}/g)].map(([address]) => address);
    this.#taken = new Set([...found, ...given]);
  }

  next(network: string): string {
    const base = parseIp(network)?.value ?? 0n;
    for (let value = (this.#lastByNetwork.get(network) ?? base) + 1n; ; value += 1n) {
      this.#lastByNetwork.set(network, value);
      const address = formatIp({ family: 4, value });
      if (!this.#taken.has(address)) return address;
    }
  }
}
