// ClusterNetworkPolicies and what they convert to; what cannot be said never allows more.

import { describe, expect, it } from '@jest/globals';
import { convertClusterNetworkPolicy } from '../../../lib/conversion/cluster-network-policy.ts';
import type {
  ClusterNetworkPolicySpec,
  ClusterPolicyEgressPeer,
  ClusterPolicyEgressRule,
  ClusterPolicyIngressRule,
} from '../../../lib/model/cluster-network-policy-types.ts';
import type { GlobalNetworkPolicySpec, Rule } from '../../../lib/model/policy-types.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';

const ALL = {};
const SUBJECT = { namespaces: { matchLabels: { zone: 'inner' } } };

function convert(
  spec: Partial<ClusterNetworkPolicySpec>,
  name = 'p',
): ReturnType<typeof convertClusterNetworkPolicy> {
  return convertClusterNetworkPolicy({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec: { tier: 'Admin', priority: 10, subject: SUBJECT, ...spec },
  });
}

function specOf(spec: Partial<ClusterNetworkPolicySpec>): GlobalNetworkPolicySpec {
  const { policy, problems } = convert(spec);
  expect(problems).toEqual([]);
  if (policy === undefined) throw new Error('no policy');
  expect(validateResource(policy)).toEqual([]);
  return policy.spec ?? {};
}

const from = (rule: Partial<ClusterPolicyIngressRule>): ClusterPolicyIngressRule => ({
  action: 'Accept',
  from: [{ namespaces: ALL }],
  ...rule,
});
const to = (peer: ClusterPolicyEgressPeer, action: ClusterPolicyEgressRule['action'] = 'Accept') => ({
  action,
  to: [peer],
});
const ingressOf = (rule: Partial<ClusterPolicyIngressRule>): Rule[] | undefined =>
  specOf({ ingress: [from(rule)] }).ingress;

describe('a ClusterNetworkPolicy', () => {
  it.each([
    ['Admin', 'kube-admin'],
    ['Baseline', 'kube-baseline'],
  ] as const)('of tier %s stands in tier %s, by its priority', (tier, calicoTier) => {
    const { policy } = convert({ tier, priority: 7, ingress: [from({})] });
    expect(policy?.metadata.name).toBe('kcnp.p');
    expect(policy?.spec).toMatchObject({ tier: calicoTier, order: 7 });
  });

  it('governs the pods of namespaces, or pods by both labels; nothing but pods', () => {
    expect(specOf({ ingress: [from({})] })).toMatchObject({
      namespaceSelector: "zone == 'inner'",
      selector: "projectcalico.org/orchestrator == 'k8s'",
    });
    const pods = { namespaceSelector: ALL, podSelector: { matchLabels: { app: 'db' } } };
    expect(specOf({ subject: { pods }, ingress: [from({})] })).toMatchObject({
      namespaceSelector: 'all()',
      selector: "projectcalico.org/orchestrator == 'k8s' && app == 'db'",
    });
  });

  it('governs the directions that it has rules for', () => {
    expect(specOf({ ingress: [from({})] }).types).toEqual(['Ingress']);
    expect(specOf({ egress: [to({ namespaces: ALL })] }).types).toEqual(['Egress']);
    expect(specOf({ ingress: [from({})], egress: [to({ namespaces: ALL })] }).types).toEqual([
      'Ingress',
      'Egress',
    ]);
    expect(specOf({})).not.toHaveProperty('ingress');
  });

  it.each([
    ['Accept', 'Allow'],
    ['Deny', 'Deny'],
    ['Pass', 'Pass'],
  ] as const)('has rules whose action %s is %s, with their names', (action, calicoAction) => {
    expect(ingressOf({ action, name: 'web' })).toEqual([
      {
        action: calicoAction,
        source: { namespaceSelector: 'all()' },
        metadata: { annotations: { name: 'web' } },
      },
    ]);
  });

  it('has a rule for each protocol and peer, with its ports merged', () => {
    const pods = { namespaceSelector: { matchLabels: { zone: 'outer' } }, podSelector: ALL };
    const protocols = [
      { tcp: { destinationPort: { number: 81 } } },
      { udp: { destinationPort: { number: 53 } } },
      { tcp: { destinationPort: { range: { start: 70, end: 80 } } } },
      { sctp: {} },
    ];
    const podPeer = {
      selector: "projectcalico.org/orchestrator == 'k8s'",
      namespaceSelector: "zone == 'outer'",
    };
    const rules = ingressOf({ from: [{ namespaces: ALL }, { pods }], protocols });
    expect(rules?.map(({ protocol, source, destination }) => [protocol, source, destination])).toEqual([
      ['SCTP', { namespaceSelector: 'all()' }, undefined],
      ['SCTP', podPeer, undefined],
      ['TCP', { namespaceSelector: 'all()' }, { ports: ['70:81'] }],
      ['TCP', podPeer, { ports: ['70:81'] }],
      ['UDP', { namespaceSelector: 'all()' }, { ports: [53] }],
      ['UDP', podPeer, { ports: [53] }],
    ]);
  });

  it('has named ports of any protocol', () => {
    expect(ingressOf({ protocols: [{ destinationNamedPort: 'http' }] })).toEqual([
      { action: 'Allow', source: { namespaceSelector: 'all()' }, destination: { ports: ['http'] } },
    ]);
  });

  it('reaches networks, those of each family by a rule of their own', () => {
    const { egress } = specOf({ egress: [to({ networks: ['10.0.0.0/8', 'fd00::/8', '192.0.2.1/24'] })] });
    expect(egress).toEqual([
      { action: 'Allow', destination: { nets: ['10.0.0.0/8', '192.0.2.0/24'] } },
      { action: 'Allow', destination: { nets: ['fd00::/8'] } },
    ]);
  });
});

describe('what cannot be said of a ClusterNetworkPolicy', () => {
  const odd = { domainNames: ['example.org'] };

  it.each([
    ['Accept', []],
    ['Deny', [{ action: 'Deny' }]],
    ['Pass', [{ action: 'Deny' }]],
  ] as const)('makes a rule that should %s %j', (action, rules) => {
    const { policy, problems } = convert({ egress: [to(odd, action)] });
    expect(policy?.spec?.egress ?? []).toEqual(rules);
    expect(problems.map(({ field }) => field)).toEqual(['spec.egress[0]']);
  });

  it.each([
    ['an operator', { matchExpressions: [{ key: 'a', operator: 'Gt' as 'In', values: ['1'] }] }],
    ['an operator without its values', { matchExpressions: [{ key: 'a', operator: 'In' as const }] }],
    ['a label', { matchLabels: { a: "x' || has(b) || a == 'y" } }],
  ])('as a peer: %s', (_what, namespaces) => {
    const { policy, problems } = convert({ ingress: [from({ action: 'Deny', from: [{ namespaces }] })] });
    expect(policy?.spec?.ingress).toEqual([{ action: 'Deny' }]);
    expect(problems).toHaveLength(1);
  });

  it('as a subject: what is reached beyond it is only denied', () => {
    const subject = { namespaces: { matchLabels: { zone: 'inner', a: "'" } } };
    const rules = [from({}), from({ action: 'Pass' }), from({ action: 'Deny' })];
    const { policy, problems } = convert({ subject, ingress: rules });
    expect(policy?.spec?.namespaceSelector).toBe("zone == 'inner'");
    expect(policy?.spec?.ingress?.map(({ action }) => action)).toEqual(['Deny', 'Deny']);
    expect(problems.map(({ field }) => field)).toEqual(['spec.subject.namespaces']);
  });

  it('as more rules than a policy may have: the rest is denied if any of it restricts', () => {
    const many = Array.from({ length: 25 }, () => ({ namespaces: ALL }));
    const protocols = [{ tcp: {} }, { udp: {} }];
    const accept = Array.from({ length: 21 }, () => from({ from: many, protocols }));
    const open = convert({ ingress: accept }).policy?.spec?.ingress;
    expect([open?.length, open?.at(-1)?.action]).toEqual([1024, 'Allow']);
    const passing = [...accept.slice(1), from({ action: 'Pass', from: many, protocols })];
    const closed = convert({ ingress: passing });
    expect([closed.policy?.spec?.ingress?.length, closed.policy?.spec?.ingress?.at(-1)]).toEqual([
      1024,
      { action: 'Deny' },
    ]);
    expect(closed.problems.map(({ field }) => field)).toEqual(['spec.ingress']);
  });

  it('at all: no policy', () => {
    expect(convert({ tier: 'Other' as 'Admin' }).policy).toBeUndefined();
    expect(convert({ subject: {} }).policy).toBeUndefined();
  });

  it('as a name: its end becomes a hash', () => {
    const name = convert({}, 'a'.repeat(253)).policy?.metadata.name ?? '';
    expect([name.length, name.startsWith('kcnp.aaa')]).toEqual([253, true]);
  });
});
