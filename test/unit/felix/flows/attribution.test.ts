// Rule ids to policies, and staged policies to what they stand for.

import { describe, expect, it } from '@jest/globals';
import { attribute } from '../../../../agents/felix/flows/attribution.ts';
import { StagedCounts } from '../../../../agents/felix/flows/staged-counts.ts';
import { StagedReplacements } from '../../../../agents/felix/flows/staged-replacements.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const AT = { epoch: 3, ruleId: 17 };
const context = { tierOf: (key: string) => (key === 'NetworkPolicy/red/p' ? 'default' : undefined) };

describe('a rule id', () => {
  it('is a rule of a policy, with its tier and where it is written', () => {
    const ref = {
      type: 'policy',
      policy: { kind: 'NetworkPolicy', namespace: 'red', name: 'p' },
      direction: 'ingress',
      index: 2,
    } as const;
    const sourceOf = () => ({ file: 'p.yaml', line: 7 });
    expect(attribute(AT, { type: 'rule', ref, action: 'deny' }, { ...context, sourceOf })).toEqual({
      type: 'rule',
      kind: 'NetworkPolicy',
      namespace: 'red',
      name: 'p',
      tier: 'default',
      direction: 'ingress',
      index: 2,
      action: 'deny',
      source: { file: 'p.yaml', line: 7 },
    });
  });

  it('is a rule of a profile', () => {
    const ref = { type: 'profile', profile: 'kns.red', direction: 'egress', index: 0 } as const;
    expect(attribute(AT, { type: 'rule', ref, action: 'allow' }, context)).toEqual({
      type: 'rule',
      kind: 'Profile',
      name: 'kns.red',
      direction: 'egress',
      index: 0,
      action: 'allow',
    });
  });

  it('is the end of a tier, with the policy that brought it', () => {
    const meaning = {
      type: 'endOfTier',
      tier: 'security',
      direction: 'egress',
      policy: 'GlobalNetworkPolicy//g',
    } as const;
    expect(attribute(AT, meaning, context)).toEqual({
      type: 'endOfTier',
      tier: 'security',
      direction: 'egress',
      policy: { kind: 'GlobalNetworkPolicy', name: 'g' },
    });
  });

  it('is a reason that no policy gives, or is not known any more', () => {
    expect(attribute(AT, { type: 'builtIn', reason: 'spoofedSource' }, context)).toMatchObject({
      type: 'reason',
      reason: 'spoofedSource',
    });
    // Policies may apply and pass.
    expect(attribute(AT, { type: 'builtIn', reason: 'noProfileMatched' }, context)).toMatchObject({
      text: 'no policy decides, and no profile allows it',
    });
    expect(attribute(AT, undefined, context)).toEqual({ type: 'unknown', epoch: 3, ruleId: 17 });
  });
});

describe('a staged policy', () => {
  const staged = (kind: string, name: string, stagedAction?: string): Resource => ({
    apiVersion: 'projectcalico.org/v3',
    kind,
    metadata: { name, ...(kind.includes('Global') ? {} : { namespace: 'red' }) },
    spec: stagedAction === undefined ? {} : { stagedAction },
  });

  it.each([
    [staged('StagedNetworkPolicy', 'p'), 'NetworkPolicy/red/p'],
    [staged('StagedNetworkPolicy', 'p', 'Delete'), 'NetworkPolicy/red/p'],
    [staged('StagedGlobalNetworkPolicy', 'g', 'Set'), 'GlobalNetworkPolicy//g'],
    [staged('StagedKubernetesNetworkPolicy', 'k'), 'NetworkPolicy/red/knp.default.k'],
  ])('stands for the policy of its name: %j', (resource, key) => {
    const replacements = new StagedReplacements();
    expect(replacements.onResource('at', resource)).toBe(true);
    expect(replacements.onResource('at', resource)).toBe(false);
    expect([...replacements.keys]).toEqual([key]);
    expect(replacements.onResource('at', undefined)).toBe(true);
    expect(replacements.keys.size).toBe(0);
  });

  it.each(['Learn', 'Ignore'])('with %s stands beside the others', (action) => {
    const replacements = new StagedReplacements();
    expect(replacements.onResource('at', staged('StagedNetworkPolicy', 'p', action))).toBe(false);
  });

  it('is counted by rule, and its changes of the verdict by what they would be', () => {
    const counts = new StagedCounts();
    const hit = {
      kind: 'StagedNetworkPolicy',
      namespace: 'red',
      name: 'p',
      tier: 'default',
      direction: 'ingress',
      index: 0,
      action: 'deny',
    };
    counts.add({ verdict: 'deny', policies: [hit] }, 'allow', 3);
    counts.add({ verdict: 'deny', policies: [hit] }, 'deny', 2);
    expect(counts.all).toEqual([{ ...hit, connections: 5 }]);
    expect(counts.changed).toEqual({ allow: 0, deny: 3 });
  });
});
