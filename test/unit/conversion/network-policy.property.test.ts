// Kubernetes policies on random small clusters: converted and evaluated, against the documented meaning of networking.k8s.io/v1
// read straight off the Kubernetes objects.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { convertToStoredNetworkPolicy } from '../../../lib/conversion/network-policy.ts';
import { convertPod } from '../../../lib/conversion/pod.ts';
import { convertNamespace } from '../../../lib/conversion/profiles.ts';
import type { ContainerPort, Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type {
  KubernetesNetworkPolicy,
  LabelSelector,
  LabelSelectorRequirement,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '../../../lib/model/kubernetes-types.ts';
import { cidrContains, parseCidr, parseIp } from '../../../lib/net/ip.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';

const SEED = 20261125;
const NAMESPACES = ['east', 'west'] as const;
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2'] as const;
const OUTSIDE = '192.0.2.1';
const NUMBERS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17 };

type Labels = Record<string, string>;
interface World {
  readonly pods: readonly Pod[];
  readonly namespaces: Readonly<Record<string, Labels>>;
  readonly policies: readonly KubernetesNetworkPolicy[];
}
interface Probe {
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
}

const someLabels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('x', 'y'), {
  maxKeys: 2,
  noNullPrototype: true,
});
const requirement: fc.Arbitrary<LabelSelectorRequirement> = fc.oneof(
  fc.record({
    key: fc.constantFrom('a', 'b'),
    operator: fc.constantFrom<'In' | 'NotIn'>('In', 'NotIn'),
    values: fc.constantFrom(['x'], ['x', 'y']).map((values) => [...values]),
  }),
  fc.record({
    key: fc.constantFrom('a', 'b'),
    operator: fc.constantFrom<'Exists' | 'DoesNotExist'>('Exists', 'DoesNotExist'),
  }),
);
const labelSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  fc.constant({}),
  fc.record({ matchLabels: someLabels }),
  fc.record({ matchExpressions: fc.array(requirement, { minLength: 1, maxLength: 2 }) }),
);
const peer: fc.Arbitrary<NetworkPolicyPeer> = fc.oneof(
  fc.record({ podSelector: labelSelector }),
  fc.record({ namespaceSelector: labelSelector }),
  fc.record({ podSelector: labelSelector, namespaceSelector: labelSelector }),
  fc.record({
    ipBlock: fc.constantFrom<NonNullable<NetworkPolicyPeer['ipBlock']>>(
      { cidr: '10.0.0.0/16', except: ['10.0.0.2/32'] },
      { cidr: '192.0.2.0/24' },
      { cidr: '0.0.0.0/0', except: ['10.0.1.0/24'] },
    ),
  }),
);
const port: fc.Arbitrary<NetworkPolicyPort> = fc.constantFrom<NetworkPolicyPort>(
  { port: 80 },
  { port: 80, protocol: 'UDP' },
  { port: 80, endPort: 82, protocol: 'TCP' },
  { port: 'web' },
  { port: 'web', protocol: 'UDP' },
  { protocol: 'UDP' },
);
const ports = fc.array(port, { maxLength: 2 });
const peers = fc.array(peer, { maxLength: 2 });
const policy = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    podSelector: labelSelector,
    ingress: fc.array(fc.record({ from: peers, ports }), { maxLength: 2 }),
    egress: fc.array(fc.record({ to: peers, ports }), { maxLength: 2 }),
    policyTypes: fc.constantFrom<('Ingress' | 'Egress')[]>(
      [],
      ['Ingress'],
      ['Egress'],
      ['Ingress', 'Egress'],
    ),
  })
  .map(({ namespace, ...spec }) => ({ namespace, spec }));
const pod = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  labels: someLabels,
  ports: fc.constantFrom<ContainerPort[]>(
    [],
    [{ name: 'web', containerPort: 80 }],
    [{ name: 'web', containerPort: 81, protocol: 'UDP' }],
  ),
});

const world: fc.Arbitrary<World> = fc
  .record({
    pods: fc.tuple(...ADDRESSES.map(() => pod)),
    namespaces: fc.tuple(someLabels, someLabels),
    policies: fc.array(policy, { maxLength: 3 }),
  })
  .map((given) => ({
    pods: given.pods.map(({ namespace, labels, ports: containerPorts }, index) => ({
      apiVersion: 'v1',
      kind: 'Pod' as const,
      metadata: { name: `pod${index}`, namespace, labels },
      spec: { nodeName: index < 2 ? 'n1' : 'n2', containers: [{ name: 'main', ports: containerPorts }] },
      status: { podIP: ADDRESSES[index] ?? '' },
    })),
    namespaces: { east: given.namespaces[0], west: given.namespaces[1] },
    policies: given.policies.map(({ namespace, spec }, index) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy' as const,
      metadata: { name: `p${index}`, namespace },
      spec,
    })),
  }));
const probe: fc.Arbitrary<Probe> = fc.record({
  source: fc.constantFrom(...ADDRESSES, OUTSIDE),
  destination: fc.constantFrom(...ADDRESSES, OUTSIDE),
  protocol: fc.constantFrom<'TCP' | 'UDP'>('TCP', 'UDP'),
  port: fc.constantFrom(80, 81, 83),
});

function selects(selector: LabelSelector, labels: Labels): boolean {
  const hasAll = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return hasAll && (selector.matchExpressions ?? []).every((expression) => meets(expression, labels));
}

function meets({ key, operator, values }: LabelSelectorRequirement, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && (values ?? []).includes(value);
    case 'NotIn':
      return value === undefined || !(values ?? []).includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function kubernetesAllows(given: World, asked: Probe): boolean {
  if (asked.source === asked.destination) return true;
  const at = (address: string): Pod | undefined => given.pods.find(({ status }) => status?.podIP === address);
  const source = at(asked.source);
  const destination = at(asked.destination);
  return (
    (source === undefined ||
      directionAllows(given, asked, source, 'Egress', destination, asked.destination)) &&
    (destination === undefined || directionAllows(given, asked, destination, 'Ingress', source, asked.source))
  );
}

function directionAllows(
  given: World,
  asked: Probe,
  own: Pod,
  type: 'Ingress' | 'Egress',
  other: Pod | undefined,
  otherAddress: string,
): boolean {
  const isolating = given.policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === own.metadata.namespace &&
      selects(spec?.podSelector ?? {}, own.metadata.labels ?? {}) &&
      typesOf(spec).includes(type),
  );
  if (isolating.length === 0) return true;
  const target = type === 'Ingress' ? own : other;
  return isolating.some(({ metadata, spec }) => {
    const rules =
      type === 'Ingress'
        ? (spec?.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports }))
        : (spec?.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports }));
    return rules.some(
      (rule) =>
        matchesPeers(given, rule.peers ?? [], metadata.namespace ?? '', other, otherAddress) &&
        matchesPorts(rule.ports ?? [], asked, target),
    );
  });
}

function typesOf(spec: KubernetesNetworkPolicy['spec']): readonly string[] {
  const types = spec?.policyTypes ?? [];
  if (types.length > 0) return types;
  return (spec?.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

function matchesPeers(
  given: World,
  all: readonly NetworkPolicyPeer[],
  namespace: string,
  other: Pod | undefined,
  address: string,
): boolean {
  if (all.length === 0) return true;
  return all.some(({ ipBlock, podSelector, namespaceSelector }) => {
    if (ipBlock !== undefined) {
      return isInside(ipBlock.cidr, address) && !(ipBlock.except ?? []).some((net) => isInside(net, address));
    }
    if (other === undefined) return false;
    const otherNamespace = other.metadata.namespace ?? '';
    const isNamespace =
      namespaceSelector === undefined
        ? otherNamespace === namespace
        : selects(namespaceSelector, given.namespaces[otherNamespace] ?? {});
    return isNamespace && selects(podSelector ?? {}, other.metadata.labels ?? {});
  });
}

function matchesPorts(all: readonly NetworkPolicyPort[], asked: Probe, target: Pod | undefined): boolean {
  if (all.length === 0) return true;
  return all.some(({ port: wanted, endPort, protocol = 'TCP' }) => {
    if (protocol !== asked.protocol) return false;
    if (wanted === undefined) return true;
    if (typeof wanted === 'number') return wanted <= asked.port && asked.port <= (endPort ?? wanted);
    const named = target?.spec?.containers.flatMap((container) => container.ports ?? []) ?? [];
    return named.some(
      (own) =>
        own.name === wanted && (own.protocol ?? 'TCP') === protocol && own.containerPort === asked.port,
    );
  });
}

function isInside(net: string, address: string): boolean {
  const cidr = parseCidr(net);
  const ip = parseIp(address);
  return cidr !== undefined && ip !== undefined && cidrContains(cidr, ip);
}

describe('converted Kubernetes policies', () => {
  it('mean what the Kubernetes API says', () => {
    const count = { allowed: 0, denied: 0 };
    fc.assert(
      fc.property(world, fc.array(probe, { minLength: 10, maxLength: 20 }), (given, probes) => {
        const endpoints = given.pods.map((source) => {
          const conversion = convertPod(source);
          if (!conversion.ok) throw new Error(conversion.problem.code);
          return conversion.endpoint;
        });
        const cluster = resolveCluster([
          ...endpoints,
          ...Object.entries(given.namespaces).map(([name, labels]) =>
            convertNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
          ),
          ...given.policies.map((source) => convertToStoredNetworkPolicy(source).policy),
        ]);
        for (const asked of probes) {
          const { source, destination } = asked;
          const protocol = NUMBERS[asked.protocol] ?? 0;
          const verdict = evaluate(cluster, { source, destination, protocol, destinationPort: asked.port });
          const isAllowed = kubernetesAllows(given, asked);
          count[isAllowed ? 'allowed' : 'denied']++;
          expect({ asked, isAllowed: verdict.isAllowed }).toEqual({ asked, isAllowed });
        }
      }),
      { seed: SEED, numRuns: 800 },
    );
    expect(Math.min(count.allowed, count.denied)).toBeGreaterThan(1000);
  }, 60_000);
});
