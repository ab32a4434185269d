// Random clusters as lists of v3 resources, and random changes to them. What may be there besides hosts, workloads and tiers is one
// row of OBJECT_DRAWS each: a new kind of policy or endpoint is a new row.

import { podInterfaceName } from '../../../lib/conversion/pod.ts';
import { convertNamespace, convertServiceAccount } from '../../../lib/conversion/profiles.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { storedResource } from '../stored-resource.ts';
import { type Draw, defined } from './draw.ts';
import { asHostPolicy, felixConfiguration, hostEndpoint } from './hosts.ts';
import {
  endpointSlice,
  stagedKubernetesPolicy,
  storedClusterPolicy,
  storedKubernetesPolicy,
} from './kubernetes.ts';
import { ACCOUNTS, drawAccountSelector, drawLabels, drawNets, drawRules, drawSelector } from './rules.ts';
import { HOSTS, NAMESPACES, PODS, type WorldPod } from './world.ts';

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
    ingress: drawRules(draw, 5, 'ingress'),
    egress: drawRules(draw, 5, 'egress'),
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
      ingress: drawRules(draw, 3, 'ingress'),
      egress: drawRules(draw, 3, 'egress'),
      labelsToApply,
    },
  );
}

const ENDPOINT_PORTS = [
  { name: 'http', protocol: 'TCP', port: 80 },
  { name: 'http', protocol: 'TCP', port: 8050 },
  { name: 'http', protocol: 'UDP', port: 443 },
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'dns', protocol: 'SCTP', port: 53 },
] as const;

/** Objects that come and go. */
const OBJECT_DRAWS: readonly { readonly weight: number; readonly draw: (draw: Draw) => Resource }[] = [
  { weight: 5, draw: (draw) => namespacedPolicy('NetworkPolicy', draw) },
  { weight: 5, draw: (draw) => globalPolicy('GlobalNetworkPolicy', draw) },
  { weight: 3, draw: storedKubernetesPolicy },
  { weight: 2, draw: storedClusterPolicy },
  { weight: 2, draw: endpointSlice },
  {
    weight: 5,
    draw: (draw) =>
      hostEndpoint(
        draw,
        draw.maybe(3, () => draw.few(ENDPOINT_PORTS)),
      ),
  },
  { weight: 5, draw: (draw) => asHostPolicy(draw, globalPolicy('GlobalNetworkPolicy', draw)) },
  { weight: 3, draw: networkSet },
  { weight: 1, draw: stagedPolicy },
  { weight: 1, draw: stagedKubernetesPolicy },
  { weight: 1, draw: extraProfile },
  { weight: 1, draw: felixConfiguration },
];

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
  () => resource('Tier', { name: 'kube-admin' }, { order: 1_000, defaultAction: 'Pass' }),
  () => resource('Tier', { name: 'kube-baseline' }, { order: 10_000_000, defaultAction: 'Pass' }),
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
  const put = (made: Resource): void => void objects.set(storedResource(made).key, made);
  for (const each of LASTING_DRAWS) put(each(draw));
  const count = 2 + draw.below(16);
  for (let index = 0; index < count; index++) put(draw.weighted(OBJECT_DRAWS).draw(draw));
  return [...objects.values()];
}

/** One to three changes: an object created, replaced or taken away, a workload relabelled, a namespace, a tier. */
export function drawChange(draw: Draw, cluster: readonly Resource[]): Resource[] {
  const objects = new Map(cluster.map((each) => [storedResource(each).key, each]));
  const put = (made: Resource): void => void objects.set(storedResource(made).key, made);
  const lasting = new Set(LASTING_DRAWS.map((each) => storedResource(each(draw)).key));
  for (let count = 1 + draw.below(3); count > 0; count--) {
    const others = [...objects.keys()].filter((key) => !lasting.has(key));
    const kind = draw.below(10);
    if (kind < 3 && others.length > 0) objects.delete(draw.one(others));
    else if (kind < 6) put(draw.one(LASTING_DRAWS)(draw));
    else put(draw.weighted(OBJECT_DRAWS).draw(draw));
  }
  return [...objects.values()];
}
