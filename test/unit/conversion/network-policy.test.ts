// Kubernetes NetworkPolicies and what they convert to: the recorded cases, and the corners that they leave out.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  convertNetworkPolicy,
  convertToStoredNetworkPolicy,
} from '../../../lib/conversion/network-policy.ts';
import type {
  KubernetesNetworkPolicy,
  KubernetesNetworkPolicySpec,
} from '../../../lib/model/kubernetes-types.ts';
import type { NetworkPolicy, NetworkPolicySpec, Rule } from '../../../lib/model/policy-types.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';

interface ConversionCase {
  readonly name: string;
  readonly kubernetes: KubernetesNetworkPolicy;
  readonly calico: NetworkPolicy;
}

const cases = JSON.parse(
  readFileSync(path.join(__dirname, '../../conformance/conversions.json'), 'utf8'),
) as ConversionCase[];

/** The order of entries in a `ports` list does not matter. */
function withSortedPorts(policy: NetworkPolicy): NetworkPolicy {
  const sortSide = (side: Rule['source']): Rule['source'] =>
    side?.ports === undefined ? side : { ...side, ports: [...side.ports].sort() };
  const sortRules = (rules: Rule[] | undefined): Rule[] | undefined =>
    rules?.map(
      (rule) => ({ ...rule, source: sortSide(rule.source), destination: sortSide(rule.destination) }) as Rule,
    );
  return {
    ...policy,
    spec: {
      ...policy.spec,
      ingress: sortRules(policy.spec?.ingress),
      egress: sortRules(policy.spec?.egress),
    } as NetworkPolicySpec,
  };
}

describe('NetworkPolicy conversion conformance', () => {
  it('covers all recorded policies', () => {
    expect(cases).toHaveLength(6);
  });

  it.each(cases)('converts $name', ({ kubernetes, calico }) => {
    const { policy, problems } = convertNetworkPolicy(kubernetes);
    expect(withSortedPorts(policy)).toEqual(withSortedPorts(calico));
    expect(problems).toEqual([]);
  });
});

function convert(spec: Partial<KubernetesNetworkPolicySpec>): ReturnType<typeof convertNetworkPolicy> {
  return convertNetworkPolicy({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'p', namespace: 'n' },
    spec: { podSelector: {}, ...spec },
  });
}

function ingressOf(spec: Partial<KubernetesNetworkPolicySpec>): Rule[] | undefined {
  return convert(spec).policy.spec?.ingress;
}

describe('convertNetworkPolicy', () => {
  it.each<[Partial<KubernetesNetworkPolicySpec>, string[]]>([
    [{}, ['Ingress']],
    [{ ingress: [] }, ['Ingress']],
    [{ egress: [] }, ['Ingress']],
    [{ egress: [{}] }, ['Ingress', 'Egress']],
    [{ policyTypes: ['Egress'] }, ['Egress']],
    [{ policyTypes: ['Egress', 'Ingress'] }, ['Ingress', 'Egress']],
  ])('of %j has the types that Kubernetes defaults to', (spec, types) => {
    expect(convert(spec).policy.spec?.types).toEqual(types);
  });

  it('merges overlapping and adjacent ports of a protocol', () => {
    const ports = [
      { port: 10, endPort: 20 },
      { port: 15, endPort: 18 },
      { port: 21 },
      { port: 5, protocol: 'UDP' },
      { port: 30 },
      { port: 'web' },
    ];
    expect(ingressOf({ ingress: [{ ports }] })).toEqual([
      { action: 'Allow', protocol: 'TCP', destination: { ports: ['web', '10:21', 30] } },
      { action: 'Allow', protocol: 'UDP', destination: { ports: [5] } },
    ]);
  });

  it('opens a whole protocol for an entry without port, whatever else is listed', () => {
    const ports = [{ protocol: 'TCP', port: 80 }, { protocol: 'TCP' }];
    expect(ingressOf({ ingress: [{ ports }] })).toEqual([{ action: 'Allow', protocol: 'TCP' }]);
  });

  it('opens everything for an empty entry', () => {
    expect(ingressOf({ ingress: [{ ports: [{}] }] })).toEqual([{ action: 'Allow' }]);
  });

  it('makes a rule for each protocol and peer', () => {
    const rules = ingressOf({
      ingress: [
        {
          from: [{ ipBlock: { cidr: '10.1.2.3/8' } }, { podSelector: { matchLabels: { a: 'b' } } }],
          ports: [{ port: 53, protocol: 'UDP' }, { port: 53 }],
        },
      ],
    });
    expect(rules?.map(({ protocol, source }) => [protocol, source?.nets ?? source?.selector])).toEqual([
      ['TCP', ['10.0.0.0/8']],
      ['TCP', "projectcalico.org/orchestrator == 'k8s' && a == 'b'"],
      ['UDP', ['10.0.0.0/8']],
      ['UDP', "projectcalico.org/orchestrator == 'k8s' && a == 'b'"],
    ]);
  });

  it('leaves out and reports a rule that cannot be converted, and keeps the others', () => {
    const { policy, problems } = convert({
      ingress: [{ ports: [{ port: 9, endPort: 1 }] }, { from: [{ ipBlock: { cidr: 'x' } }] }, {}],
    });
    expect(policy.spec?.ingress).toEqual([{ action: 'Allow' }]);
    expect(policy.spec?.types).toEqual(['Ingress']);
    expect(problems.map(({ field }) => field)).toEqual(['spec.ingress[0]', 'spec.ingress[1]']);
  });

  it('takes null for nothing', () => {
    const spec = { podSelector: { matchLabels: null }, ingress: [{ from: null, ports: null }], egress: null };
    const { policy } = convert(spec as unknown as KubernetesNetworkPolicySpec);
    expect(policy.spec).toEqual({
      order: 1000,
      tier: 'default',
      selector: "projectcalico.org/orchestrator == 'k8s'",
      types: ['Ingress'],
      ingress: [{ action: 'Allow' }],
    });
  });

  it('is stored under a name of its own', () => {
    const { policy } = convertToStoredNetworkPolicy({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'web.policy' },
      spec: { podSelector: {} },
    });
    expect(policy.metadata).toEqual({ name: 'knp.default.web.policy', namespace: 'default' });
  });

  const odd = fc.oneof(
    fc.constantFrom(
      'app',
      'example.com/app',
      "it's",
      'a"b',
      '',
      '-',
      'x'.repeat(63),
      'x'.repeat(64),
      'A/b/c',
    ),
    fc.string({ maxLength: 70 }),
  );
  const selector = fc.record(
    {
      matchLabels: fc.dictionary(odd, odd, { maxKeys: 20 }),
      matchExpressions: fc.array(
        fc.record({
          key: odd,
          operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
          values: fc.array(odd, { maxLength: 30 }),
        }),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: [] },
  );
  const cidr = fc.constantFrom('10.0.0.0/8', '10.1.2.3/8', 'x', '::/0', '10.9.0.0/33', '0.0.0.0/0');
  const rule = fc.record({
    from: fc.array(
      fc.oneof(
        fc.record({ podSelector: selector, namespaceSelector: selector }, { requiredKeys: [] }),
        fc.record({ ipBlock: fc.record({ cidr, except: fc.array(cidr, { maxLength: 300 }) }) }),
      ),
      { maxLength: 3 },
    ),
    ports: fc.array(
      fc.record(
        {
          port: fc.oneof(fc.integer({ min: -1, max: 65_536 }), odd),
          endPort: fc.integer({ min: -1, max: 65_536 }),
          protocol: fc.constantFrom('TCP', 'UDP', 'SCTP', 'ICMP', 'x'),
        },
        { requiredKeys: [] },
      ),
      { maxLength: 3 },
    ),
  });

  it('is something that can be stored, whatever it was made of, and says what it left out', () => {
    const spec = fc.record({ podSelector: selector, ingress: fc.array(rule, { maxLength: 3 }) });
    const property = fc.property(spec, odd, (given, name) => {
      const { policy, problems } = convertToStoredNetworkPolicy({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: /^[a-z]+$/.test(name) ? name : 'p', namespace: 'n' },
        spec: given as KubernetesNetworkPolicySpec,
      });
      expect(validateResource(policy)).toEqual([]);
      if (problems.some(({ field }) => field === 'spec.podSelector'))
        expect(policy.spec?.ingress).toBeUndefined();
    });
    fc.assert(property, { seed: 20261125, numRuns: 300 });
  });
});
