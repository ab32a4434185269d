// Random objects of Kubernetes as policy meets them: its policies by their conversions, and the slices of its services.

import { convertClusterNetworkPolicy } from '../../../lib/conversion/cluster-network-policy.ts';
import { convertToStoredNetworkPolicy } from '../../../lib/conversion/network-policy.ts';
import type {
  ClusterNetworkPolicy,
  ClusterPolicyAction,
  ClusterPolicyEgressPeer,
  ClusterPolicyProtocol,
  ClusterPolicySubject,
} from '../../../lib/model/cluster-network-policy-types.ts';
import { type EndpointSlice, SERVICE_NAME_LABEL } from '../../../lib/model/kubernetes-service-types.ts';
import type { KubernetesNetworkPolicy, LabelSelector } from '../../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type Draw, defined } from './draw.ts';
import { LABELS } from './rules.ts';
import { HOSTS, NAMESPACES, NETS, OUTSIDE, PODS, SERVICES } from './world.ts';

const NAMES = ['one', 'two', 'three', 'four'] as const;

function kubernetesSelector(draw: Draw): LabelSelector {
  const key = draw.one(Object.keys(LABELS) as (keyof typeof LABELS)[]);
  const value = draw.one<string>(LABELS[key]);
  return draw.one([
    {},
    { matchLabels: { [key]: value } },
    { matchExpressions: [{ key, operator: draw.one(['In', 'NotIn']), values: [value] }] },
    { matchExpressions: [{ key, operator: draw.one(['Exists', 'DoesNotExist']) }] },
  ]);
}

function kubernetesTeams(draw: Draw): LabelSelector {
  return draw.one([
    {},
    { matchLabels: { team: 'x' } },
    { matchExpressions: [{ key: 'team', operator: 'Exists' }] },
  ]);
}

function kubernetesPeer(draw: Draw): object {
  const teams = kubernetesTeams(draw);
  return draw.one([
    () => ({ podSelector: kubernetesSelector(draw) }),
    () => ({ namespaceSelector: teams }),
    () => ({ podSelector: kubernetesSelector(draw), namespaceSelector: teams }),
    () => ({ ipBlock: { cidr: '10.80.0.0/16', except: draw.few(['10.80.0.0/25', '10.80.0.133/32'], 2) } }),
    () => ({ ipBlock: { cidr: draw.one([...NETS.v4, ...NETS.v6]) } }),
  ])();
}

function kubernetesPort(draw: Draw): object {
  const protocol = draw.one(['TCP', 'UDP', 'SCTP']);
  return draw.one([
    { protocol, port: draw.one<number | string>([53, 80, 443, 'http', 'dns']) },
    { protocol, port: 79, endPort: 81 },
    { protocol, port: 8000, endPort: 8100 },
    { protocol },
  ]);
}

function kubernetesRules(draw: Draw, peers: 'from' | 'to'): object[] {
  return Array.from({ length: draw.below(4) }, () =>
    defined({
      [peers]: draw.once(4)
        ? undefined
        : [kubernetesPeer(draw), ...(draw.once(3) ? [kubernetesPeer(draw)] : [])],
      ports: draw.once(3)
        ? undefined
        : [kubernetesPort(draw), ...(draw.once(2) ? [kubernetesPort(draw)] : [])],
    }),
  );
}

function kubernetesPolicy(draw: Draw): KubernetesNetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: draw.one(NAMES), namespace: draw.one(NAMESPACES) },
    spec: defined({
      podSelector: kubernetesSelector(draw),
      policyTypes: draw.maybe(2, () => draw.few(['Ingress', 'Egress'])),
      ingress: draw.once(4) ? undefined : kubernetesRules(draw, 'from'),
      egress: draw.once(2) ? undefined : kubernetesRules(draw, 'to'),
    }),
  } as KubernetesNetworkPolicy;
}

export function storedKubernetesPolicy(draw: Draw): Resource {
  return convertToStoredNetworkPolicy(kubernetesPolicy(draw)).policy;
}

/** As the kubernetes plugin stores it, by its conversion. */
export function stagedKubernetesPolicy(draw: Draw): Resource {
  const { metadata, spec } = kubernetesPolicy(draw);
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'StagedKubernetesNetworkPolicy',
    metadata,
    spec: { ...spec, stagedAction: 'Set' },
  };
}

function clusterPods(draw: Draw): ClusterPolicySubject {
  if (draw.once(2)) return { namespaces: kubernetesTeams(draw) };
  return { pods: { namespaceSelector: kubernetesTeams(draw), podSelector: kubernetesSelector(draw) } };
}

function clusterPeer(draw: Draw, peers: 'from' | 'to'): ClusterPolicyEgressPeer {
  if (peers === 'from' || draw.once(2)) return clusterPods(draw);
  return { networks: draw.few([...NETS.v4, ...NETS.v6], 2) };
}

function clusterProtocol(draw: Draw): ClusterPolicyProtocol {
  const ports = draw.one([
    { destinationPort: { number: 80 } },
    { destinationPort: { number: 53 } },
    { destinationPort: { range: { start: 79, end: 81 } } },
    {},
  ]);
  return draw.one([
    { tcp: ports },
    { udp: ports },
    { sctp: ports },
    { destinationNamedPort: draw.one(['http', 'dns']) },
  ]);
}

function clusterRules(draw: Draw, peers: 'from' | 'to'): object[] {
  return Array.from({ length: draw.below(3) }, () =>
    defined({
      action: draw.one<ClusterPolicyAction>(['Accept', 'Deny', 'Pass']),
      [peers]: Array.from({ length: 1 + draw.below(2) }, () => clusterPeer(draw, peers)),
      protocols: draw.once(2)
        ? undefined
        : Array.from({ length: 1 + draw.below(2) }, () => clusterProtocol(draw)),
    }),
  );
}

/** A ClusterNetworkPolicy as the kubernetes plugin stores it: a policy of the tier `kube-admin` or `kube-baseline`. */
export function storedClusterPolicy(draw: Draw): Resource {
  const { policy } = convertClusterNetworkPolicy({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: draw.one(NAMES) },
    spec: {
      tier: draw.one(['Admin', 'Baseline']),
      priority: draw.below(3),
      subject: clusterPods(draw),
      ingress: clusterRules(draw, 'from'),
      egress: clusterRules(draw, 'to'),
    },
  } as ClusterNetworkPolicy);
  if (policy === undefined) throw new Error('a policy without tier or subject');
  return policy;
}

/** A slice of one of the services: of one family, as Kubernetes makes them. */
export function endpointSlice(draw: Draw): Resource {
  const { namespace, name } = draw.one(SERVICES);
  const family = draw.one(['v4', 'v6'] as const);
  const addresses = [
    ...PODS.map((pod) => pod[family]),
    ...HOSTS.map((host) => host[family]),
    OUTSIDE[family][0],
  ];
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-${draw.one(['a', 'b'])}`, namespace, labels: { [SERVICE_NAME_LABEL]: name } },
    addressType: family === 'v4' ? 'IPv4' : 'IPv6',
    endpoints: draw.few(addresses).map((address) => ({ addresses: [address] })),
    ports: draw.few([
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'SCTP' },
      { port: 443, protocol: 'TCP' },
    ]),
  };
  return slice;
}
