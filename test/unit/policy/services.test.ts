// Services in rules, on the evaluator: who is a member, what a match asks, and what must not see the endpoints of services.

import { describe, expect, it } from '@jest/globals';
import { convertEndpointSlice } from '../../../lib/conversion/endpoint-slice.ts';
import type { EndpointSlice } from '../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';

const apiVersion = 'projectcalico.org/v3';
const WEB = '10.0.0.1';
const CART = '10.0.1.1';
const OUTSIDE = '198.18.0.1';
const TCP = 6;
const UDP = 17;

function pod(name: string, ip: string): Resource {
  return {
    apiVersion,
    kind: 'WorkloadEndpoint',
    metadata: { name: `n1-k8s-${name}-eth0`, namespace: 'shop', labels: { app: name } },
    spec: {
      orchestrator: 'k8s',
      node: 'n1',
      pod: name,
      endpoint: 'eth0',
      interfaceName: `cali${name}`,
      ipNetworks: [`${ip}/32`],
    },
  };
}

function slice(name: string, addresses: string[], more: Partial<EndpointSlice> = {}): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cart' } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP' },
    ],
    ...more,
  };
}

const policy = (spec: { ingress?: Rule[]; egress?: Rule[] }): Resource => ({
  apiVersion,
  kind: 'NetworkPolicy',
  metadata: { name: 'p', namespace: 'shop' },
  spec: {
    selector: "app == 'web'",
    types: Object.keys(spec).map((direction) => DIRECTIONS[direction]),
    ...spec,
  },
});
const DIRECTIONS: Readonly<Record<string, string>> = { ingress: 'Ingress', egress: 'Egress' };
/** Of the others nothing is asked. */
const open: Resource = {
  apiVersion,
  kind: 'GlobalNetworkPolicy',
  metadata: { name: 'open' },
  spec: { selector: "app != 'web'", ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] },
};
/** What the policy does not look at. */
const otherDirection: Resource = {
  apiVersion,
  kind: 'GlobalNetworkPolicy',
  metadata: { name: 'z-rest' },
  spec: { selector: "app == 'web'", ingress: [{ action: 'Allow' }] },
};

function egress(
  slices: readonly Resource[],
  rules: Rule[],
  to: string,
  protocol: number,
  port: number,
): boolean {
  const resources = [pod('web', WEB), pod('cart', CART), open, policy({ egress: rules }), ...slices];
  return evaluate(resolveCluster(resources), {
    source: WEB,
    destination: to,
    protocol,
    sourcePort: 40_000,
    destinationPort: port,
  }).isAllowed;
}

const toCart: Rule = { action: 'Allow', destination: { services: { name: 'cart' } } };

describe('a service as a destination', () => {
  it.each<[string, string, number, number, boolean]>([
    ['its port', CART, TCP, 80, true],
    ['its other port', CART, UDP, 53, true],
    ['a port under the other protocol', CART, UDP, 80, false],
    ['another port', CART, TCP, 81, false],
    ['an endpoint that is no workload', OUTSIDE, TCP, 80, true],
    ['an address of no endpoint', '198.18.0.2', TCP, 80, false],
  ])('is %s', (_what, to, protocol, port, isAllowed) => {
    expect(egress([slice('one', [CART, OUTSIDE])], [toCart], to, protocol, port)).toBe(isAllowed);
  });

  it('is nobody without a slice, and all endpoints of all its slices', () => {
    expect(egress([], [toCart], CART, TCP, 80)).toBe(false);
    const slices = [slice('one', [OUTSIDE]), slice('two', [CART], { ports: [{ port: 8080 }] })];
    expect(egress(slices, [toCart], CART, TCP, 8080)).toBe(true);
    expect(egress(slices, [toCart], CART, TCP, 80)).toBe(false);
    expect(egress(slices, [toCart], OUTSIDE, TCP, 80)).toBe(true);
  });

  it('is one of the namespace that is named', () => {
    const other: Rule = { action: 'Allow', destination: { services: { name: 'cart', namespace: 'red' } } };
    expect(egress([slice('one', [CART])], [other], CART, TCP, 80)).toBe(false);
  });

  it('can be denied, with the rest of the rule', () => {
    const deny: Rule = { ...toCart, action: 'Deny', notProtocol: 'UDP' };
    const rules: Rule[] = [deny, { action: 'Allow' }];
    expect(egress([slice('one', [CART])], rules, CART, TCP, 80)).toBe(false);
    expect(egress([slice('one', [CART])], rules, CART, UDP, 53)).toBe(true);
    expect(egress([slice('one', [CART])], rules, CART, TCP, 81)).toBe(true);
  });

  it('is the criterion that a trace names', () => {
    const resources = [pod('web', WEB), pod('cart', CART), open, policy({ egress: [toCart] })];
    const verdict = evaluate(resolveCluster(resources), {
      source: WEB,
      destination: CART,
      protocol: TCP,
      destinationPort: 80,
    });
    expect(JSON.stringify(verdict.checkpoints)).toContain('destination.services');
  });
});

describe('a service as a source', () => {
  const ingress = (slices: readonly Resource[], from: string): boolean => {
    const rule: Rule = { action: 'Allow', source: { services: { name: 'cart', namespace: 'shop' } } };
    const resources = [pod('web', WEB), pod('cart', CART), open, policy({ ingress: [rule] }), ...slices];
    return evaluate(resolveCluster(resources), {
      source: from,
      destination: WEB,
      protocol: TCP,
      sourcePort: 40_000,
      destinationPort: 9999,
    }).isAllowed;
  };

  it('is its addresses, whatever the ports', () => {
    expect(ingress([slice('one', [CART], { ports: [] })], CART)).toBe(true);
    expect(ingress([slice('one', [CART])], OUTSIDE)).toBe(false);
    expect(ingress([], CART)).toBe(false);
  });
});

describe('selectors over labels', () => {
  it.each(['all()', '!has(app)', "app != 'web'", "service == 'shop/cart'"])(
    'do not see endpoints of services: %s',
    (selector) => {
      const rule: Rule = { action: 'Allow', destination: { selector, namespaceSelector: 'global()' } };
      const wide: Rule = { action: 'Allow', destination: { notSelector: selector, nets: ['198.18.0.0/16'] } };
      expect(egress([slice('one', [OUTSIDE])], [rule, toCart], OUTSIDE, TCP, 9999)).toBe(false);
      const excluded: Rule = { ...wide, destination: { nets: ['198.18.0.0/16'] } };
      expect(egress([slice('one', [OUTSIDE])], [excluded, toCart], OUTSIDE, TCP, 9999)).toBe(true);
    },
  );

  it('are not the service’s, though a label may be called so', () => {
    const posing = {
      ...pod('cart', CART),
      metadata: { ...pod('cart', CART).metadata, labels: { service: 'cart' } },
    };
    const resources = [pod('web', WEB), posing, open, policy({ egress: [toCart] }), otherDirection];
    const packet = { source: WEB, destination: CART, protocol: TCP, destinationPort: 80 };
    expect(evaluate(resolveCluster(resources), packet).isAllowed).toBe(false);
  });
});

describe('an endpoint slice', () => {
  it('is taken over with all addresses, and with the ports that have a number', () => {
    const ports = [{ name: 'any' }, { port: 80 }, { port: 132, protocol: 'SCTP' }];
    const ready = { ready: false };
    expect(
      convertEndpointSlice(
        slice('one', [], { ports, endpoints: [{ addresses: [CART, 'x', '0.0.0.0/0'], conditions: ready }] }),
      ),
    ).toEqual({
      service: 'shop/cart',
      addresses: [CART],
      ports: [
        { protocol: 'TCP', port: 80 },
        { protocol: 'SCTP', port: 132 },
      ],
    });
  });

  it('counts for nothing without a service, or with names for addresses', () => {
    expect(convertEndpointSlice(slice('one', [CART], { metadata: { name: 'one' } }))).toBeUndefined();
    expect(convertEndpointSlice(slice('one', ['db.example'], { addressType: 'FQDN' }))).toBeUndefined();
  });
});
