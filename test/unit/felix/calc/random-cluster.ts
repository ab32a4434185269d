// Random policy resources from a small world, so that they meet: few names, few labels, many overlaps.

import fc from 'fast-check';
import type { Resource } from '../../../../lib/model/metadata.ts';

const API = 'projectcalico.org/v3';
export const LOCAL_HOST = 'host-a';

const name = fc.constantFrom('one', 'two', 'three');
const namespace = fc.constantFrom('red', 'blue');
const label = fc.constantFrom('role', 'app', 'tier');
const value = fc.constantFrom('web', 'db', 'cache');
const labels = fc.dictionary(label, value, { maxKeys: 3, noNullPrototype: true });
const profiles = fc.uniqueArray(fc.constantFrom('kns.red', 'kns.blue', 'extra', 'missing'), { maxLength: 3 });
const portName = fc.constantFrom('http', 'dns');
const endpointPorts = fc.array(
  fc.record({ name: portName, protocol: fc.constantFrom('TCP', 'UDP'), port: fc.constantFrom(53, 80, 8080) }),
  { maxLength: 2 },
);

const term = fc.oneof(
  fc.tuple(label, value).map(([key, text]) => `${key} == '${text}'`),
  fc.tuple(label, value).map(([key, text]) => `${key} != '${text}'`),
  fc
    .tuple(label, fc.uniqueArray(value, { maxLength: 2 }))
    .map(([key, texts]) => `${key} in {${texts.map((text) => `'${text}'`).join(', ')}}`),
  label.map((key) => `has(${key})`),
  label.map((key) => `!has(${key})`),
  fc.constant('all()'),
);
const selector = fc.oneof(
  term,
  fc.tuple(term, fc.constantFrom('&&', '||'), term).map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
);
const optional = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined });

/** Without the fields that are undefined, as stored. */
function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, entry]) => entry !== undefined),
  ) as Partial<Fields>;
}

const peer = fc
  .record({
    selector: optional(selector),
    notSelector: optional(term),
    namespaceSelector: optional(fc.constantFrom('role == "web"', 'all()', 'global()')),
    nets: optional(fc.constant(['10.0.0.0/8'])),
    ports: optional(fc.subarray(['http', 80, '8000:8010', 'dns'], { minLength: 1 })),
    notPorts: optional(fc.subarray(['http', 53], { minLength: 1 })),
  })
  .map(defined);
const rule = fc.record({
  action: fc.constantFrom('Allow', 'Deny', 'Pass', 'Log'),
  protocol: fc.constantFrom('TCP', 'UDP'),
  source: peer,
  destination: peer,
});
const services = fc.record({
  services: fc.record({ name: fc.constantFrom('cart', 'shop'), namespace: fc.constantFrom('red', 'blue') }),
});
const action = fc.constantFrom('Allow', 'Deny', 'Pass', 'Log');
const ingressRule = fc.oneof(
  { weight: 3, arbitrary: rule },
  { weight: 1, arbitrary: fc.record({ action, source: services }) },
);
const egressRule = fc.oneof(
  { weight: 3, arbitrary: rule },
  { weight: 1, arbitrary: fc.record({ action, destination: services }) },
);
const policySpec = fc.record({
  tier: fc.constantFrom('default', 'security', 'unknown'),
  order: optional(fc.constantFrom(1, 2, 10)),
  selector: optional(selector),
  types: optional(fc.subarray(['Ingress', 'Egress'], { minLength: 1 })),
  ingress: optional(fc.array(ingressRule, { maxLength: 2 })),
  egress: optional(fc.array(egressRule, { maxLength: 2 })),
  performanceHints: optional(fc.constant(['AssumeNeededOnEveryNode'])),
});

function resource(kind: string, metadata: object, spec: object): Resource {
  return { apiVersion: API, kind, metadata: metadata as Resource['metadata'], spec: defined(spec) };
}

const workloadEndpoint = fc
  .record({
    namespace,
    pod: name,
    node: fc.constantFrom(LOCAL_HOST, 'host-b'),
    labels,
    profiles,
    ports: endpointPorts,
    serviceAccountName: optional(fc.constant('robot')),
    ipNetworks: fc.subarray(['10.0.0.1/32', '10.0.0.2/32', '10.0.1.1/32', 'fd00::1/128'], { minLength: 1 }),
  })
  .map(({ namespace: ns, pod, node, labels: own, ...spec }) =>
    resource(
      'WorkloadEndpoint',
      { name: `${node.replaceAll('-', '--')}-k8s-${pod}-eth0`, namespace: ns, labels: own },
      { ...spec, node, pod, orchestrator: 'k8s', endpoint: 'eth0', interfaceName: `cali${pod}` },
    ),
  );
const hostEndpoint = fc
  .record({ name, node: fc.constantFrom(LOCAL_HOST, 'host-b'), labels, profiles, ports: endpointPorts })
  .map(({ name: endpoint, labels: own, ...spec }) =>
    resource(
      'HostEndpoint',
      { name: endpoint, labels: own },
      { ...spec, interfaceName: 'eth0', expectedIPs: ['192.0.2.1'] },
    ),
  );
const nets = fc.subarray(['10.0.0.0/24', '10.0.0.2/32', '0.0.0.0/0', 'fd00::/64'], { minLength: 1 });
const networkSet = fc
  .record({ name, namespace, labels, nets })
  .map(({ nets: list, ...metadata }) => resource('NetworkSet', metadata, { nets: list }));
const globalNetworkSet = fc
  .record({ name, labels, nets })
  .map(({ nets: list, ...metadata }) => resource('GlobalNetworkSet', metadata, { nets: list }));
const tier = fc
  .record({
    name: fc.constantFrom('default', 'security'),
    order: optional(fc.constantFrom(5, 100)),
    defaultAction: optional(fc.constantFrom('Deny', 'Pass')),
  })
  .map(({ name: tierName, ...spec }) => resource('Tier', { name: tierName }, spec))
  .map((made) =>
    made.metadata.name === 'default'
      ? resource('Tier', made.metadata, { order: 1_000_000, defaultAction: 'Deny' })
      : made,
  );
const profile = fc
  .record({
    name: fc.constantFrom('kns.red', 'kns.blue', 'extra'),
    labelsToApply: fc.dictionary(fc.constantFrom('pcns.role', 'role', 'app'), value, {
      noNullPrototype: true,
    }),
    ingress: optional(fc.array(rule, { maxLength: 1 })),
  })
  .map(({ name: profileName, ...spec }) => resource('Profile', { name: profileName }, spec));
const networkPolicy = fc
  .record({
    kind: fc.constantFrom('NetworkPolicy', 'StagedNetworkPolicy'),
    name,
    namespace,
    spec: policySpec,
  })
  .map(({ kind, spec, ...metadata }) => resource(kind, metadata, spec));
const globalFlags = fc.constantFrom(
  {},
  { doNotTrack: true, applyOnForward: true },
  { applyOnForward: true },
  { namespaceSelector: 'role == "web"' },
);
const globalNetworkPolicy = fc
  .record({ name, spec: policySpec, flags: globalFlags })
  .map(({ name: policyName, spec, flags }) =>
    resource('GlobalNetworkPolicy', { name: policyName }, { ...spec, ...flags }),
  );

const endpointSlice = fc
  .record({
    name,
    namespace,
    service: fc.option(fc.constantFrom('cart', 'shop'), { nil: '' }),
    addresses: fc.subarray(['10.0.0.1', '10.0.0.2', '192.0.2.7']),
    ports: fc.subarray([
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP' },
    ]),
  })
  .map(
    ({ name: slice, namespace: ns, service, addresses, ports }): Resource => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: slice, namespace: ns, labels: { 'kubernetes.io/service-name': service } },
      ...{ addressType: 'IPv4', endpoints: [{ addresses }], ports },
    }),
  );

/** One object of any kind that policy has to do with. */
export const randomResource: fc.Arbitrary<Resource> = fc.oneof(
  { weight: 4, arbitrary: workloadEndpoint },
  { weight: 1, arbitrary: hostEndpoint },
  { weight: 2, arbitrary: fc.oneof(networkSet, globalNetworkSet) },
  { weight: 2, arbitrary: endpointSlice },
  { weight: 1, arbitrary: tier },
  { weight: 2, arbitrary: profile },
  { weight: 5, arbitrary: fc.oneof(networkPolicy, globalNetworkPolicy) },
);
