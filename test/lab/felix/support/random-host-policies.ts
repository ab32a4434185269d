// Random host endpoints of one host and random policies of them, for comparing kernel and evaluator.

import fc from 'fast-check';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { felixConfiguration, hostEndpoint, hostPolicy } from './host-policies.ts';

const NETS = ['198.18.9.9/32', '172.30.0.0/24', '10.80.0.0/24', '10.80.0.2/32', '172.30.0.12/32'];
const SELECTORS = ["role == 'host'", "projectcalico.org/namespace == 'red'", "has(node) && node != 'n2'"];

const side = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  fc.subarray(NETS, { minLength: 1, maxLength: 2 }).map((nets) => ({ nets })),
  fc.constantFrom(...NETS).map((net) => ({ notNets: [net] })),
  fc.constantFrom(...SELECTORS).map((selector) => ({ selector })),
  fc.constantFrom(...SELECTORS).map((notSelector) => ({ notSelector })),
);
const protocol = fc.oneof(
  fc.constant({}),
  fc.constant({ protocol: 'ICMP' }),
  fc.record({ protocol: fc.constantFrom('TCP', 'UDP') }),
);
const ports = fc.constantFrom(
  {},
  { ports: [80] },
  { ports: [22, 7100] },
  { notPorts: ['1:80'] },
  { ports: ['60:9000'] },
);

const rule = fc
  .record({
    action: fc.constantFrom('Allow', 'Allow', 'Deny', 'Pass'),
    source: side,
    destination: side,
    protocol,
    ports,
  })
  .map(({ action, source, destination, protocol: name, ports: list }) => ({
    action,
    ...name,
    source,
    destination: 'protocol' in name && name.protocol !== 'ICMP' ? { ...destination, ...list } : destination,
  }));
const rules = fc.array(rule, { maxLength: 3 });

const policy = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    kind: fc.constantFrom('normal', 'forward', 'preDnat'),
    order: fc.constantFrom(1, 2, 3),
    types: fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
    ingress: rules,
    egress: rules,
  })
  .map(({ name, kind, order, types, ingress, egress }) => {
    if (kind === 'preDnat')
      return hostPolicy(name, { order, types: ['Ingress'], ingress, preDNAT: true, applyOnForward: true });
    return hostPolicy(name, {
      order,
      types,
      ...(types.includes('Ingress') ? { ingress } : {}),
      ...(types.includes('Egress') ? { egress } : {}),
      ...(kind === 'forward' ? { applyOnForward: true } : {}),
    });
  });

const profiles = fc.constantFrom([], ['projectcalico-default-allow']);
const endpoints = fc
  .record({ which: fc.constantFrom('eth0', 'address', 'all', 'both'), profiles, others: profiles })
  .map(({ which, profiles: own, others }) => [
    ...(which === 'eth0' || which === 'both'
      ? [hostEndpoint('n1', 'eth0', { interfaceName: 'eth0', expectedIPs: ['172.30.0.11'], profiles: own })]
      : []),
    ...(which === 'address'
      ? [hostEndpoint('n1', 'address', { expectedIPs: ['172.30.0.11'], profiles: own })]
      : []),
    ...(which === 'all' || which === 'both'
      ? [hostEndpoint('n1', 'all', { interfaceName: '*', profiles: others })]
      : []),
  ]);

/** A set of resources beside those of the world. */
export const randomHostPolicies: fc.Arbitrary<readonly Resource[]> = fc
  .record({
    endpoints,
    policies: fc.uniqueArray(policy, { maxLength: 4, selector: ({ metadata }) => metadata.name }),
    action: fc.constantFrom('Drop', 'Accept', 'Return'),
  })
  .map((made) => [
    ...made.endpoints,
    ...made.policies,
    felixConfiguration({ defaultEndpointToHostAction: made.action }),
  ]);
