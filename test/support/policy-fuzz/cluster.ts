// Random clusters as lists of v3 resources, and random changes to them. What may be there besides hosts, workloads and tiers is one
// row of OBJECT_DRAWS each: a new kind of policy or endpoint is a new row.

import { convertToStoredNetworkPolicy } from '../../../lib/conversion/network-policy.ts';
import { podInterfaceName } from '../../../lib/conversion/pod.ts';
import { convertNamespace, convertServiceAccount } from '../../../lib/conversion/profiles.ts';
import { keyOf } from '../../../lib/model/keys.ts';
import type { KubernetesNetworkPolicy } from '../../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type Draw, defined } from './draw.ts';
import {
  ACCOUNTS,
  drawAccountSelector,
  drawLabels,
  drawNets,
  drawRules,
  drawSelector,
  LABELS,
} from './rules.ts';
import { HOSTS, NAMESPACES, NETS, PODS, type WorldPod } from './world.ts';

const API = 'projectcalico.org/v3';
const NAMES = ['one', 'two', 'three', 'four'] as const;

function resource(kind: string, metadata: Resource['metadata'], spec: object): Resource {
  return { apiVersion: API, kind, metadata, spec: defined(spec) };
}

function policySpec(draw: Draw): object {
  const spec = {
    tier: draw.weighted([
      { weight: 6, tier: 'default' },
      { weight: 4, tier: 'security' },
      { weight: 2, tier: 'late' },
      { weight: 1, tier: 'unknown' },
    ]).tier,
    order: draw.maybe(2, () => draw.one([1, 2, 10, 10.5])),
    selector: draw.maybe(2, () => drawSelector(draw)),
    serviceAccountSelector: draw.maybe(8, () => drawAccountSelector(draw)),
    types: draw.maybe(2, () => draw.few(['Ingress', 'Egress'])),
    ingress: drawRules(draw, 5),
    egress: drawRules(draw, 5),
  };
  return {
    ...spec,
    ...(draw.once(4) ? { egress: undefined } : {}),
    ...(draw.once(5) ? { ingress: undefined } : {}),
  };
}

function namespacedPolicy(kind: string, draw: Draw): Resource {
  const spec = policySpec(draw);
  return resource(kind, { name: draw.one(NAMES), namespace: draw.one(NAMESPACES) }, spec);
}

function globalPolicy(kind: string, draw: Draw): Resource {
  const namespaceSelector = draw.maybe(4, () =>
    draw.one(["team == 'x'", 'has(team)', '!has(team)', 'all()']),
  );
  return resource(kind, { name: draw.one(NAMES) }, { ...policySpec(draw), namespaceSelector });
}

function stagedPolicy(draw: Draw): Resource {
  const made = draw.once(2)
    ? namespacedPolicy('StagedNetworkPolicy', draw)
    : globalPolicy('StagedGlobalNetworkPolicy', draw);
  const { tier, ...spec } = made['spec'] as Record<string, unknown>;
  if (draw.once(4)) return { ...made, spec: { tier, stagedAction: 'Delete' } };
  return { ...made, spec: { ...spec, tier, stagedAction: 'Set' } };
}

function kubernetesSelector(draw: Draw): object {
  const key = draw.one(Object.keys(LABELS) as (keyof typeof LABELS)[]);
  const value = draw.one<string>(LABELS[key]);
  return draw.one([
    {},
    { matchLabels: { [key]: value } },
    { matchExpressions: [{ key, operator: draw.one(['In', 'NotIn']), values: [value] }] },
    { matchExpressions: [{ key, operator: draw.one(['Exists', 'DoesNotExist']) }] },
  ]);
}

function kubernetesPeer(draw: Draw): object {
  const teams = draw.one([
    {},
    { matchLabels: { team: 'x' } },
    { matchExpressions: [{ key: 'team', operator: 'Exists' }] },
  ]);
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

/** As the kubernetes plugin stores it, by its conversion. */
function stagedKubernetesPolicy(draw: Draw): Resource {
  const { metadata, spec } = kubernetesPolicy(draw);
  return resource('StagedKubernetesNetworkPolicy', metadata, { ...spec, stagedAction: 'Set' });
}

function networkSet(draw: Draw): Resource {
  const labels = drawLabels(draw);
  const nets = drawNets(draw);
  if (draw.once(2)) return resource('GlobalNetworkSet', { name: draw.one(NAMES), labels }, { nets });
  return resource('NetworkSet', { name: draw.one(NAMES), namespace: draw.one(NAMESPACES), labels }, { nets });
}

function extraProfile(draw: Draw): Resource {
  const labelsToApply = draw.maybe(2, () => drawLabels(draw));
  return resource(
    'Profile',
    { name: 'extra' },
    {
      ingress: drawRules(draw, 3),
      egress: drawRules(draw, 3),
      labelsToApply,
    },
  );
}

function felixConfiguration(draw: Draw): Resource {
  const defaultEndpointToHostAction = draw.one(['Accept', 'Drop', 'Return']);
  const name = draw.one(['default', 'node.n1']);
  return resource('FelixConfiguration', { name }, { defaultEndpointToHostAction });
}

/** Objects that come and go. */
const OBJECT_DRAWS: readonly { readonly weight: number; readonly draw: (draw: Draw) => Resource }[] = [
  { weight: 5, draw: (draw) => namespacedPolicy('NetworkPolicy', draw) },
  { weight: 5, draw: (draw) => globalPolicy('GlobalNetworkPolicy', draw) },
  { weight: 3, draw: (draw) => convertToStoredNetworkPolicy(kubernetesPolicy(draw)).policy },
  { weight: 3, draw: networkSet },
  { weight: 1, draw: stagedPolicy },
  { weight: 1, draw: stagedKubernetesPolicy },
  { weight: 1, draw: extraProfile },
  { weight: 1, draw: felixConfiguration },
];

const ENDPOINT_PORTS = [
  { name: 'http', protocol: 'TCP', port: 80 },
  { name: 'http', protocol: 'TCP', port: 8050 },
  { name: 'http', protocol: 'UDP', port: 443 },
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'dns', protocol: 'SCTP', port: 53 },
] as const;

function endpointOf(pod: WorldPod, draw: Draw): Resource {
  const { namespace, name, host, v4, v6 } = pod;
  const account = draw.one([...ACCOUNTS, 'default']);
  const usual = [`kns.${namespace}`, `ksa.${namespace}.${account}`];
  const profiles = draw.weighted([
    { weight: 8, profiles: usual },
    { weight: 2, profiles: ['extra', ...usual] },
    { weight: 1, profiles: ['extra'] },
    { weight: 1, profiles: [`ksa.${namespace}.${account}`, 'missing'] },
  ]).profiles;
  return resource(
    'WorkloadEndpoint',
    { name: `${host}-k8s-${name}-eth0`, namespace, labels: drawLabels(draw) },
    {
      orchestrator: 'k8s',
      node: host,
      pod: name,
      endpoint: 'eth0',
      interfaceName: podInterfaceName(namespace, name),
      ipNetworks: [`${v4}/32`, `${v6}/128`],
      serviceAccountName: account,
      profiles,
      ports: draw.once(4) ? undefined : draw.few(ENDPOINT_PORTS),
    },
  );
}

function namespaceOf(name: string, draw: Draw): Resource {
  const labels: Record<string, string> = draw.once(2) ? { team: draw.one(['x', 'y']) } : {};
  return convertNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}

function accountOf(namespace: string, name: string, draw: Draw): Resource {
  const labels: Record<string, string> = draw.once(2) ? { grade: draw.one(['high', 'low']) } : {};
  return convertServiceAccount({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { namespace, name, labels },
  });
}

function tierOf(name: string, order: number, draw: Draw): Resource {
  return resource('Tier', { name }, { order, defaultAction: draw.one(['Deny', 'Pass', 'Pass']) });
}

function hostOf({ name, v4, v6 }: (typeof HOSTS)[number]): Resource {
  return resource('Node', { name }, { bgp: { ipv4Address: `${v4}/24`, ipv6Address: `${v6}/64` } });
}

/** Objects that every cluster has: drawn anew, never taken away. */
const LASTING_DRAWS: readonly ((draw: Draw) => Resource)[] = [
  ...HOSTS.map((host) => () => hostOf(host)),
  () => resource('Tier', { name: 'default' }, { order: 1_000_000, defaultAction: 'Deny' }),
  (draw) => tierOf('security', 100, draw),
  (draw) => tierOf('late', 2_000_000, draw),
  ...NAMESPACES.map((name) => (draw: Draw) => namespaceOf(name, draw)),
  ...NAMESPACES.flatMap((namespace) =>
    ACCOUNTS.map((name) => (draw: Draw) => accountOf(namespace, name, draw)),
  ),
  ...NAMESPACES.map((namespace) => (draw: Draw) => accountOf(namespace, 'default', draw)),
  ...PODS.map((pod) => (draw: Draw) => endpointOf(pod, draw)),
];

/** What is there whatever is drawn: a shrinker leaves it. */
export function isLasting({ kind }: Resource): boolean {
  return kind === 'Node' || kind === 'WorkloadEndpoint';
}

export function drawCluster(draw: Draw): Resource[] {
  const objects = new Map<string, Resource>();
  const put = (made: Resource): void => void objects.set(keyOf(made), made);
  for (const each of LASTING_DRAWS) put(each(draw));
  const count = 2 + draw.below(12);
  for (let index = 0; index < count; index++) put(draw.weighted(OBJECT_DRAWS).draw(draw));
  return [...objects.values()];
}

/** One to three changes: an object created, replaced or taken away, a workload relabelled, a namespace, a tier. */
export function drawChange(draw: Draw, cluster: readonly Resource[]): Resource[] {
  const objects = new Map(cluster.map((each) => [keyOf(each), each]));
  const put = (made: Resource): void => void objects.set(keyOf(made), made);
  const lasting = new Set(LASTING_DRAWS.map((each) => keyOf(each(draw))));
  for (let count = 1 + draw.below(3); count > 0; count--) {
    const others = [...objects.keys()].filter((key) => !lasting.has(key));
    const kind = draw.below(10);
    if (kind < 3 && others.length > 0) objects.delete(draw.one(others));
    else if (kind < 6) put(draw.one(LASTING_DRAWS)(draw));
    else put(draw.weighted(OBJECT_DRAWS).draw(draw));
  }
  return [...objects.values()];
}
