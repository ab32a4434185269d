// v3 policies and profiles to the compiled form: types, ports, named ports, protocols, families, errors.

import { describe, expect, it } from '@jest/globals';
import type { GlobalNetworkPolicySpec, Rule } from '../../../lib/model/policy-types.ts';
import {
  compilePolicy,
  compileProfile,
  isStagedDeletion,
  type PolicyCompilation,
  type PolicyResource,
} from '../../../lib/policy/compile.ts';
import type { CompiledRule } from '../../../lib/policy/compiled.ts';
import { PolicyError } from '../../../lib/policy/policy-error.ts';
import { SERVICE_PORT, serviceSelector } from '../../../lib/policy/services.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';

const apiVersion = 'projectcalico.org/v3';

function compileGlobal(spec: GlobalNetworkPolicySpec): PolicyCompilation {
  return compilePolicy({ apiVersion, kind: 'GlobalNetworkPolicy', metadata: { name: 'p' }, spec }, 7);
}

function compileIngress(rule: Omit<Rule, 'action'>): { rule: CompiledRule; selectors: string[] } {
  const { policy, selectors } = compileGlobal({ ingress: [{ action: 'Allow', ...rule }] });
  const compiled = policy.ingress[0];
  if (compiled === undefined) throw new Error('rule was left out');
  return { rule: compiled, selectors: selectors.map(({ selector }) => selector.canonical) };
}

const idOf = (text: string): string => parseSelector(text).id;

describe('compilePolicy', () => {
  it('fills in the tier, keeps order and revision, and names its rules by place', () => {
    const { policy, order, alwaysActive } = compileGlobal({
      order: 5,
      ingress: [{ action: 'Log' }, { action: 'Deny' }],
      performanceHints: ['AssumeNeededOnEveryNode'],
    });
    expect(policy).toMatchObject({ tier: 'default', revision: 7, staged: false, untracked: false });
    expect(policy.id).toEqual({ kind: 'GlobalNetworkPolicy', namespace: '', name: 'p' });
    expect(policy.ingress.map(({ verdict, ref }) => [verdict, ref])).toEqual([
      ['log', { type: 'policy', policy: policy.id, direction: 'ingress', index: 0 }],
      ['deny', { type: 'policy', policy: policy.id, direction: 'ingress', index: 1 }],
    ]);
    expect({ order, alwaysActive }).toEqual({ order: 5, alwaysActive: true });
  });

  const allow: Rule[] = [{ action: 'Allow' }];
  it.each<[GlobalNetworkPolicySpec, boolean, boolean]>([
    [{}, true, false],
    [{ ingress: allow }, true, false],
    [{ egress: allow }, false, true],
    [{ ingress: allow, egress: allow }, true, true],
    [{ ingress: [], egress: allow }, false, true],
    [{ types: ['Egress'] }, false, true],
    [{ types: ['Ingress'], egress: allow }, true, false],
    [{ types: [], egress: allow }, false, true],
  ])('governs by types, or by the rules present: %j', (spec, ingress, egress) => {
    expect(compileGlobal(spec).policy.governs).toEqual({ ingress, egress });
  });

  it('limits a namespaced policy to its namespace', () => {
    const resource: PolicyResource = {
      apiVersion,
      kind: 'StagedNetworkPolicy',
      metadata: { name: 'p', namespace: 'n' },
      spec: { selector: 'has(a)', ingress: [{ action: 'Allow', source: { selector: 'has(b)' } }] },
    };
    const { policy, appliesTo, selectors } = compilePolicy(resource, 1);
    expect(policy.staged).toBe(true);
    expect(appliesTo.canonical).toBe('(has(a) && projectcalico.org/namespace == "n")');
    expect(selectors.map(({ selector }) => selector.canonical)).toEqual([
      '(projectcalico.org/namespace == "n" && has(b))',
    ]);
  });

  it('recognises a staged deletion', () => {
    const metadata = { name: 'p' };
    expect(
      isStagedDeletion({
        apiVersion,
        kind: 'StagedGlobalNetworkPolicy',
        metadata,
        spec: { stagedAction: 'Delete' },
      }),
    ).toBe(true);
    expect(isStagedDeletion({ apiVersion, kind: 'StagedGlobalNetworkPolicy', metadata, spec: {} })).toBe(
      false,
    );
  });

  it('lists a selector that several rules use once', () => {
    const rule: Rule = {
      action: 'Allow',
      source: { selector: 'has(a)' },
      destination: { selector: 'has( a )' },
    };
    expect(compileGlobal({ ingress: [rule], egress: [rule] }).selectors).toHaveLength(1);
  });

  it.each<[string, Rule]>([
    [
      'networks of two families',
      { action: 'Deny', source: { nets: ['10.0.0.0/8'] }, destination: { nets: ['::1'] } },
    ],
    ['a network of the other version', { action: 'Deny', ipVersion: 6, source: { notNets: ['10.0.0.0/8'] } }],
  ])('leaves out and reports a rule with %s', (_what, rule) => {
    const { policy, unmatchable } = compileGlobal({ ingress: [rule, { action: 'Allow' }] });
    expect(policy.ingress.map(({ ref }) => ref.index)).toEqual([1]);
    expect(unmatchable.map(({ index }) => index)).toEqual([0]);
  });

  it('makes a service as source one of its addresses, as destination one of its ports', () => {
    const services = { name: 's', namespace: 'n' };
    const { policy, selectors } = compileGlobal({
      ingress: [{ action: 'Deny', protocol: 'TCP', source: { services } }],
      egress: [{ action: 'Pass', destination: { services } }],
    });
    const [source, destination] = [serviceSelector('n/s', 'source'), serviceSelector('n/s', 'destination')];
    expect(policy.ingress[0]).toMatchObject({
      verdict: 'deny',
      source: { selectors: [source.id], namedPorts: [] },
    });
    expect(policy.egress[0]).toMatchObject({
      verdict: 'pass',
      destination: {
        selectors: [],
        namedPorts: [{ protocol: undefined, name: SERVICE_PORT, selector: destination.id }],
      },
    });
    expect(selectors.map(({ id, service }) => [id, service])).toEqual([
      [source.id, 'n/s'],
      [destination.id, 'n/s'],
    ]);
    expect(policy.notEnforced).toBeUndefined();
  });

  it('takes a service without a namespace for one of the policy’s own', () => {
    const egress: Rule[] = [{ action: 'Allow', destination: { services: { name: 's' } } }];
    const { selectors } = compilePolicy(
      { apiVersion, kind: 'NetworkPolicy', metadata: { name: 'p', namespace: 'shop' }, spec: { egress } },
      7,
    );
    expect(selectors.map(({ service }) => service)).toEqual(['shop/s']);
  });

  it('says that HTTP is not looked into', () => {
    const { policy } = compileGlobal({ ingress: [{ action: 'Allow', http: { methods: ['GET'] } }] });
    expect(policy.ingress).toHaveLength(1);
    expect(policy.notEnforced?.map(({ field }) => field)).toEqual(['spec.ingress[0].http']);
    expect(compileGlobal({ ingress: [{ action: 'Allow' }] }).policy.notEnforced).toBeUndefined();
  });

  it.each<[Partial<Rule>, string, string]>([
    [{ source: { nets: ['10.0.0.0/8', 'x'] } }, 'badNet', 'spec.ingress[0].source.nets[1]'],
    [{ destination: { ports: [80, '9:1'] } }, 'badPort', 'spec.ingress[0].destination.ports[1]'],
    [{ protocol: 'carrier-pigeon' }, 'badProtocol', 'spec.ingress[0].protocol'],
    [{ source: { selector: 'a b' } }, 'badSelector', 'spec.ingress[0].source.selector'],
  ])('refuses %j', (rule, code, field) => {
    let caught: unknown;
    try {
      compileGlobal({ ingress: [{ action: 'Allow', ...rule }] });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(PolicyError);
    expect(caught).toMatchObject({ type: { code, field } });
  });
});

describe('compiled rules', () => {
  it.each([
    ['TCP', 6],
    ['udp', 17],
    ['ICMPv6', 58],
    [132, 132],
    ['89', 89],
  ])('have the number of protocol %j', (protocol, number) => {
    expect(compileIngress({ protocol }).rule.protocol).toBe(number);
  });

  it('have canonical networks and the family that they imply', () => {
    const { rule } = compileIngress({ source: { nets: ['10.1.2.3/8', '192.0.2.1'] } });
    expect(rule.source.nets).toEqual(['10.0.0.0/8', '192.0.2.1/32']);
    expect(rule.ipVersion).toBe(4);
  });

  it('have no family where networks are of both', () => {
    expect(compileIngress({ source: { nets: ['10.0.0.0/8', '::/0'] } }).rule.ipVersion).toBeUndefined();
  });

  it('have ports as ranges', () => {
    const { rule } = compileIngress({ protocol: 'TCP', destination: { ports: [80, '443', '8000:8100'] } });
    expect(rule.destination.ports).toEqual([
      { min: 80, max: 80 },
      { min: 443, max: 443 },
      { min: 8000, max: 8100 },
    ]);
  });

  it('fold the selector into the named ports if there are only such', () => {
    const { rule, selectors } = compileIngress({
      protocol: 'TCP',
      source: { selector: "profile == 'prof-1'", ports: ['tcpport'] },
    });
    const selector = idOf("profile == 'prof-1'");
    expect(rule.source).toMatchObject({
      selectors: [],
      namedPorts: [{ protocol: 6, name: 'tcpport', selector }],
    });
    expect(selectors).toEqual(['profile == "prof-1"']);
  });

  it('keep the selector beside numeric ports', () => {
    const { rule } = compileIngress({ protocol: 'TCP', source: { selector: 'has(a)', ports: ['web', 80] } });
    expect(rule.source.selectors).toEqual([idOf('has(a)')]);
    expect(rule.source.namedPorts).toEqual([{ protocol: 6, name: 'web', selector: idOf('has(a)') }]);
  });

  it('take a named port without selector as one of all()', () => {
    const { rule, selectors } = compileIngress({ destination: { ports: ['web'] } });
    expect(rule.destination.namedPorts).toEqual([
      { protocol: undefined, name: 'web', selector: idOf('all()') },
    ]);
    expect(selectors).toEqual(['all()']);
  });

  it('need for a negated named port its own set and that of the selector', () => {
    const { rule, selectors } = compileIngress({
      protocol: 'TCP',
      source: { selector: 'all()', notSelector: "foo == 'bar'", notPorts: ['tcpport'] },
    });
    const selector = idOf("(all()) && !(foo == 'bar')");
    expect(rule.source).toMatchObject({
      selectors: [selector],
      notSelectors: [],
      notNamedPorts: [{ protocol: 6, name: 'tcpport', selector }],
    });
    expect(selectors).toEqual(['(all() && !foo == "bar")']);
  });

  it('keep a lone notSelector of a global policy negated', () => {
    const { rule } = compileIngress({ source: { notSelector: 'has(a)' } });
    expect(rule.source).toMatchObject({ selectors: [], notSelectors: [idOf('has(a)')] });
  });
});

describe('compileProfile', () => {
  it('compiles rules without a namespace and hands on the labels', () => {
    const compiled = compileProfile({
      apiVersion,
      kind: 'Profile',
      metadata: { name: 'kns.n' },
      spec: {
        ingress: [{ action: 'Deny', source: { selector: 'has(a)' } }],
        labelsToApply: { 'pcns.z': 'y' },
      },
    });
    expect(compiled.profile).toMatchObject({ name: 'kns.n', exists: true, egress: [] });
    expect(compiled.profile.ingress[0]).toMatchObject({
      verdict: 'deny',
      ref: { type: 'profile', profile: 'kns.n', direction: 'ingress', index: 0 },
    });
    expect(compiled.selectors.map(({ selector }) => selector.canonical)).toEqual(['has(a)']);
    expect(compiled.labelsToApply).toEqual({ 'pcns.z': 'y' });
  });
});
