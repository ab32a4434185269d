// Loads the network policy cases (test/conformance/netpol/SOURCE.md) and plays their changes: after each step it gives the
// datastore's v3 resources and the probes that must be seen. Used with the evaluator and with real packets.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { convertClusterNetworkPolicy } from '../../lib/conversion/cluster-network-policy.ts';
import { convertToStoredNetworkPolicy } from '../../lib/conversion/network-policy.ts';
import { convertPod } from '../../lib/conversion/pod.ts';
import { convertNamespace, convertServiceAccount } from '../../lib/conversion/profiles.ts';
import type { ClusterNetworkPolicy } from '../../lib/model/cluster-network-policy-types.ts';
import type { Pod } from '../../lib/model/kubernetes-pod-types.ts';
import type { KubernetesNetworkPolicy, Namespace, ServiceAccount } from '../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';

const FOLDER = path.join(process.cwd(), 'test/conformance/netpol');
const POD_ADDRESSES = 'cni.projectcalico.org/ipAddrs';

export type NetpolNeed =
  | 'calico'
  | 'external'
  | 'host-network'
  | 'host-endpoints'
  | 'icmp'
  | 'services'
  | 'cluster-network-policy'
  | 'felix-configuration';
export type NetpolProtocol = 'TCP' | 'UDP' | 'ICMP';

/** Something that listens. */
export interface NetpolPort {
  readonly port: number;
  readonly protocol: NetpolProtocol;
  readonly name?: string;
}
export interface NetpolHost {
  readonly name: string;
  readonly ip: string;
  readonly ports?: readonly NetpolPort[];
}
export interface NetpolPod extends NetpolHost {
  readonly namespace: string;
  readonly node: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
}
export interface NetpolStep {
  readonly name: string;
  readonly actions?: readonly { readonly apply?: string; readonly delete?: string }[];
  readonly expect: readonly NetpolTable[];
}
interface NetpolTable {
  readonly protocol: NetpolProtocol;
  readonly port?: number;
  readonly to: readonly string[];
  readonly from: Readonly<Record<string, string>>;
}
export interface NetpolCase {
  readonly id: string;
  readonly title: string;
  readonly needs?: readonly NetpolNeed[];
  readonly cluster: {
    readonly podCIDR: string;
    readonly nodes: readonly NetpolHost[];
    readonly externals?: readonly NetpolHost[];
    readonly namespaces?: readonly { readonly name: string; readonly labels?: Record<string, string> }[];
    readonly serviceAccounts?: readonly {
      readonly namespace: string;
      readonly name: string;
      readonly labels?: Record<string, string>;
    }[];
    readonly pods?: readonly NetpolPod[];
  };
  readonly steps: readonly NetpolStep[];
}

/** One packet and what must become of it. Ends are named as in the case: `namespace/pod`, `node:NAME`, `external:NAME`. */
export interface NetpolProbe {
  readonly from: string;
  readonly to: string;
  readonly fromAddress: string;
  readonly toAddress: string;
  readonly protocol: NetpolProtocol;
  /** Undefined for ICMP. */
  readonly port: number | undefined;
  readonly isAllowed: boolean;
}

/** All cases, by id. */
export function loadNetpolCases(): NetpolCase[] {
  const files = readdirSync(FOLDER).filter((file) => /^np-\d+\.yaml$/.test(file));
  return files.sort().map((file) => parse(readFileSync(path.join(FOLDER, file), 'utf8')) as NetpolCase);
}

/** The objects of a case's cluster as they change from step to step. */
export class NetpolWorld {
  private readonly netpolCase: NetpolCase;
  /** Kubernetes and Calico objects as applied, by `apiGroup/Kind/namespace/name`. */
  private readonly objects = new Map<string, Resource>();

  constructor(netpolCase: NetpolCase) {
    this.netpolCase = netpolCase;
    for (const object of initialObjects(netpolCase)) this.objects.set(objectKey(object), object);
  }

  /** Plays the step's actions. */
  apply(step: NetpolStep): void {
    for (const action of step.actions ?? []) {
      for (const object of documents(action.apply)) this.put(object);
      for (const object of documents(action.delete)) this.remove(object);
    }
  }

  /** What the datastore holds: Calico's resources, those that Kubernetes objects convert to among them. */
  resources(): Resource[] {
    return [...this.objects.values()].flatMap(toCalico);
  }

  /** Every pair that the step's tables check. */
  probes(step: NetpolStep): NetpolProbe[] {
    return step.expect.flatMap((table) =>
      Object.entries(table.from).flatMap(([from, outcomes]) => this.rowProbes(table, from, outcomes)),
    );
  }

  /** The address of an end as cases name it. Throws if there is none. */
  addressOf(end: string): string {
    const { cluster } = this.netpolCase;
    const [kind, name] = end.split(':');
    const host =
      kind === 'node'
        ? cluster.nodes.find((node) => node.name === name)
        : cluster.externals?.find((external) => external.name === name);
    const address = host?.ip ?? this.podAddress(end);
    if (address === undefined) throw new Error(`${this.netpolCase.id}: no address of ${end}`);
    return address;
  }

  private podAddress(end: string): string | undefined {
    const [namespace = '', name = ''] = end.split('/');
    const pod = this.objects.get(`v1/Pod/${namespace}/${name}`) as Pod | undefined;
    return pod?.status?.podIP;
  }

  private rowProbes(table: NetpolTable, from: string, outcomes: string): NetpolProbe[] {
    if (outcomes.length !== table.to.length)
      throw new Error(`${this.netpolCase.id}: row ${from} has a wrong length`);
    return table.to.flatMap((to, index) => {
      const outcome = outcomes[index];
      if (outcome === '-') return [];
      if (outcome !== '.' && outcome !== 'X')
        throw new Error(`${this.netpolCase.id}: unknown outcome ${outcome}`);
      const { protocol, port } = table;
      const ends = { from, to, fromAddress: this.addressOf(from), toAddress: this.addressOf(to) };
      return [{ ...ends, protocol, port, isAllowed: outcome === '.' }];
    });
  }

  private put(object: Resource): void {
    const key = objectKey(object);
    const before = this.objects.get(key);
    this.objects.set(key, before !== undefined && object.kind === 'Pod' ? relabel(before, object) : object);
  }

  private remove(object: Resource): void {
    this.objects.delete(objectKey(object));
    if (object.kind !== 'Namespace') return;
    for (const [key, other] of this.objects) {
      if (other.metadata.namespace === object.metadata.name) this.objects.delete(key);
    }
  }
}

/** A pod that is applied again keeps running where it is, with other labels. */
function relabel(running: Resource, applied: Resource): Resource {
  const labels = applied.metadata.labels ?? {};
  return { ...running, metadata: { ...running.metadata, labels } };
}

function documents(text: string | undefined): Resource[] {
  if (text === undefined) return [];
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors[0]));
    const object = document.toJS() as Resource | null;
    return object === null ? [] : [completed(object)];
  });
}

const CLUSTER_KINDS = new Set([
  'Namespace',
  'Node',
  'GlobalNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'GlobalNetworkSet',
  'Tier',
  'Profile',
  'HostEndpoint',
  'FelixConfiguration',
  'ClusterNetworkPolicy',
]);

/** With what the API server fills in. */
function completed(object: Resource): Resource {
  const labels = object.metadata.labels ?? {};
  if (object.kind === 'Namespace') return namespaceObject(object.metadata.name, labels);
  if (CLUSTER_KINDS.has(object.kind)) return object;
  const metadata = { ...object.metadata, labels, namespace: object.metadata.namespace ?? 'default' };
  return object.kind === 'Pod' ? withStatus({ ...(object as Pod), metadata }) : { ...object, metadata };
}

/** A new pod asks for its address by annotation, and gets it. */
function withStatus(pod: Pod): Pod {
  const asked = JSON.parse(pod.metadata.annotations?.[POD_ADDRESSES] ?? '[]') as string[];
  const spec = { containers: [], ...pod.spec };
  return {
    ...pod,
    spec: { ...spec, serviceAccountName: spec.serviceAccountName ?? 'default' },
    status: asked[0] === undefined ? {} : { podIP: asked[0] },
  };
}

function objectKey({ apiVersion, kind, metadata }: Resource): string {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : apiVersion;
  return `${group}/${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}

function namespaceObject(name: string, labels: Record<string, string>): Namespace {
  const metadata = { name, labels: { ...labels, 'kubernetes.io/metadata.name': name } };
  return { apiVersion: 'v1', kind: 'Namespace', metadata };
}

function initialObjects({ cluster }: NetpolCase): Resource[] {
  return [
    ...builtInTiers(),
    ...cluster.nodes.map(nodeObject),
    ...(cluster.namespaces ?? []).map(({ name, labels }) => namespaceObject(name, labels ?? {})),
    ...(cluster.serviceAccounts ?? []).map(({ namespace, name, labels }) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace, name, labels: labels ?? {} },
    })),
    ...(cluster.pods ?? []).map(podObject),
  ];
}

function builtInTiers(): Resource[] {
  const tier = (name: string, order: number, defaultAction: 'Deny' | 'Pass'): Resource => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'Tier',
    metadata: { name },
    spec: { order, defaultAction },
  });
  return [
    tier('kube-admin', 1000, 'Pass'),
    tier('default', 1_000_000, 'Deny'),
    tier('kube-baseline', 10_000_000, 'Pass'),
  ];
}

function nodeObject({ name, ip }: NetpolHost): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'Node',
    metadata: { name },
    spec: { bgp: { ipv4Address: `${ip}/24` } },
  };
}

function podObject({ namespace, name, node, ip, labels, serviceAccount, ports }: NetpolPod): Pod {
  const containerPorts = (ports ?? []).map((port) => ({
    containerPort: port.port,
    protocol: port.protocol,
    ...(port.name === undefined ? {} : { name: port.name }),
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { ...labels } },
    spec: {
      nodeName: node,
      serviceAccountName: serviceAccount ?? 'default',
      containers: [{ name: 'main', ports: containerPorts }],
    },
    status: { podIP: ip },
  };
}

function toCalico(object: Resource): Resource[] {
  switch (`${object.apiVersion}/${object.kind}`) {
    case 'v1/Namespace':
      return [convertNamespace(object as Namespace)];
    case 'v1/ServiceAccount':
      return [convertServiceAccount(object as ServiceAccount)];
    case 'networking.k8s.io/v1/NetworkPolicy':
      return [convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy).policy];
    case 'policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy': {
      const { policy, problems } = convertClusterNetworkPolicy(object as ClusterNetworkPolicy);
      if (policy === undefined || problems.length > 0)
        throw new Error(`${object.metadata.name}: ${JSON.stringify(problems)}`);
      return [policy];
    }
    case 'v1/Pod': {
      const conversion = convertPod(object as Pod);
      if (!conversion.ok) throw new Error(`${object.metadata.name}: ${conversion.problem.code}`);
      return [conversion.endpoint];
    }
    default:
      return object.apiVersion === 'projectcalico.org/v3' || object.kind === 'EndpointSlice' ? [object] : [];
  }
}
