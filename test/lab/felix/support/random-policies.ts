// Random changes to a small cluster's policies, sets and labels, so that rules meet each other and every shape of lookup is
// used: selectors, networks, services, their negations, ports single, wide and by name, on either side.

import fc from 'fast-check';
import type { Resource } from '../../../../lib/model/metadata.ts';

const API = 'projectcalico.org/v3';
const NAMESPACES = ['red', 'blue'] as const;

const maybe = <Value>(arbitrary: fc.Arbitrary<Value>, freq = 2): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq });
const few = <Value>(...values: readonly Value[]): fc.Arbitrary<Value[]> =>
  fc.subarray([...values], { minLength: 1, maxLength: Math.min(3, values.length) });

const randomLabels = fc.dictionary(fc.constantFrom('role', 'app'), fc.constantFrom('web', 'db'), {
  maxKeys: 2,
  noNullPrototype: true,
});
const selector = fc.constantFrom(
  "role == 'web'",
  "role != 'web'",
  'has(app)',
  '!has(app)',
  'all()',
  "role in {'web', 'db'} && has(app)",
);
const namespaceSelector = fc.constantFrom("projectcalico.org/name == 'red'", 'all()', 'global()');
const net = [
  '10.80.0.0/25',
  '10.80.0.3/32',
  '10.80.0.0/16',
  '198.18.0.0/15',
  '0.0.0.0/0',
  '10.80.0.4/31',
] as const;
const port: readonly (number | string)[] = [80, '8000:8100', 'http', 53, '79:81', 'dns'];

function entity(hasPorts: boolean): fc.Arbitrary<object> {
  return (
    fc
      .record({
        nets: maybe(few(...net), 1),
        notNets: maybe(few(...net), 1),
        selector: maybe(selector),
        notSelector: maybe(selector, 1),
        namespaceSelector: maybe(namespaceSelector, 1),
        ports: hasPorts ? maybe(few(...port)) : fc.constant(undefined),
        notPorts: hasPorts ? maybe(few(...port), 1) : fc.constant(undefined),
      })
      // Few criteria at a time: with all of them nothing would ever match.
      .chain((full) => fc.subarray(Object.keys(full), { maxLength: 3 }).map((kept) => only(full, kept)))
  );
}

const action = fc.constantFrom('Allow', 'Allow', 'Allow', 'Deny', 'Pass', 'Log');
const withPorts = fc.record({
  action,
  protocol: fc.constantFrom('TCP', 'UDP'),
  source: entity(true),
  destination: entity(true),
});
const withoutPorts = fc.record({
  action,
  protocol: maybe(fc.constantFrom('ICMP', 'TCP', 17)),
  notProtocol: maybe(fc.constantFrom('TCP', 'ICMP'), 1),
  ipVersion: maybe(fc.constantFrom(4, 6), 1),
  source: entity(false),
  destination: entity(false),
});
/** Names of ports exclude what has ports, whatever the protocol. */
const excludedNames = fc.record({
  action,
  notProtocol: maybe(fc.constantFrom('TCP', 'UDP', 'ICMP'), 1),
  notICMP: maybe(fc.constantFrom({ type: 8 }, { type: 3 }), 1),
  source: entity(false),
  destination: fc.record({
    selector: fc.constantFrom('all()', "role == 'web'"),
    notPorts: few('http', 'dns'),
  }),
});
const icmp = fc.record({
  action,
  protocol: fc.constant('ICMP'),
  icmp: maybe(fc.constantFrom({ type: 8 }, { type: 8, code: 0 }, { type: 3 })),
  notICMP: maybe(fc.constantFrom({ type: 8 }, { type: 8, code: 1 }), 1),
  source: entity(false),
});
/** Legal in one direction each: ingress rules name sources, egress rules destinations. */
const services = fc.record({ services: fc.constant({ name: 'cart', namespace: 'red' }) });
const fromService = fc.record({ action, protocol: maybe(fc.constant('TCP')), source: services });
const toService = fc.record({
  action,
  notProtocol: maybe(fc.constant('UDP'), 1),
  source: entity(false),
  destination: services,
});
const rule = fc
  .oneof(
    { weight: 4, arbitrary: withPorts },
    { weight: 3, arbitrary: withoutPorts },
    { weight: 1, arbitrary: icmp },
    { weight: 1, arbitrary: excludedNames },
  )
  .map((made) => only(made, Object.keys(made)));
const ruleOr = (other: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.oneof(
    { weight: 7, arbitrary: rule },
    { weight: 1, arbitrary: other.map((made) => only(made, Object.keys(made))) },
  );

const spec = fc
  .record({
    order: maybe(fc.constantFrom(1, 2, 10)),
    tier: fc.constantFrom('default', 'default', 'security'),
    selector,
    types: maybe(fc.subarray(['Ingress', 'Egress'], { minLength: 1 })),
    ingress: maybe(fc.array(ruleOr(fromService), { maxLength: 4 }), 4),
    egress: maybe(fc.array(ruleOr(toService), { maxLength: 3 })),
  })
  .map((made) => only(made, Object.keys(made)));

function resource(kind: string, metadata: Resource['metadata'], content: object): Resource {
  return { apiVersion: API, kind, metadata, spec: content };
}

const name = fc.constantFrom('one', 'two', 'three');
const networkPolicy = fc
  .tuple(name, fc.constantFrom(...NAMESPACES), spec)
  .map(([policy, namespace, made]) => resource('NetworkPolicy', { name: policy, namespace }, made));
const globalNetworkPolicy = fc
  .tuple(name, spec)
  .map(([policy, made]) => resource('GlobalNetworkPolicy', { name: policy }, made));
const networkSet = fc
  .tuple(name, randomLabels, few(...net))
  .map(([set, labels, nets]) => resource('GlobalNetworkSet', { name: set, labels }, { nets }));
const endpointSlice = fc
  .record({
    name,
    addresses: fc.subarray(['10.80.0.2', '10.80.0.3', '10.80.0.133', '198.18.9.9']),
    ports: fc.subarray([
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP' },
    ]),
  })
  .map(
    ({ name: slice, addresses, ports }): Resource => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: slice, namespace: 'red', labels: { 'kubernetes.io/service-name': 'cart' } },
      ...{ addressType: 'IPv4', endpoints: [{ addresses }], ports },
    }),
  );

export interface RandomChange {
  readonly object: Resource;
  readonly isRemoval: boolean;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly pod: number;
}

/** An object that is created or replaced; half the time it is taken away instead, if it is there. */
export const randomChange: fc.Arbitrary<RandomChange> = fc.record({
  object: fc.oneof(
    { weight: 4, arbitrary: networkPolicy },
    { weight: 3, arbitrary: globalNetworkPolicy },
    { weight: 2, arbitrary: networkSet },
    { weight: 1, arbitrary: endpointSlice },
  ),
  isRemoval: fc.boolean(),
  /** Labels that one of the pods gets besides. */
  labels: maybe(randomLabels),
  pod: fc.nat(3),
});

function only(full: object, kept: readonly string[]): object {
  return Object.fromEntries(
    Object.entries(full).filter(([field, value]) => kept.includes(field) && value !== undefined),
  );
}
