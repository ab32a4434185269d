// The order of tiers and of policies in a tier.

import { describe, expect, it } from '@jest/globals';
import type { PolicyKind } from '../../../lib/policy/compiled.ts';
import { comparePolicies, compareTiers, type PolicyRank } from '../../../lib/policy/order.ts';

describe('compareTiers', () => {
  it('goes by order, then name; none last, and those that do not exist after all', () => {
    const sorted = [
      { name: 'absent', order: undefined, exists: false },
      { name: 'b', order: 10, exists: true },
      { name: 'none', order: undefined, exists: true },
      { name: 'a', order: 10, exists: true },
      { name: 'z', order: -1, exists: true },
    ].sort(compareTiers);
    expect(sorted.map(({ name }) => name)).toEqual(['z', 'a', 'b', 'none', 'absent']);
  });
});

describe('comparePolicies', () => {
  const rank = (
    order: number | undefined,
    name: string,
    namespace: string,
    kind: PolicyKind,
  ): PolicyRank => ({
    id: { kind, namespace, name },
    order,
  });

  it('goes by order, none last, ties by `name/namespace/kind`', () => {
    const ranks = [
      rank(undefined, 'a', 'a', 'NetworkPolicy'),
      rank(10, 'b', 'a', 'NetworkPolicy'),
      rank(10, 'a', 'z', 'NetworkPolicy'),
      rank(10, 'a', '', 'GlobalNetworkPolicy'),
      rank(10, 'a', 'z', 'StagedNetworkPolicy'),
      rank(-0.5, 'z', 'z', 'NetworkPolicy'),
    ];
    const names = [...ranks]
      .reverse()
      .sort(comparePolicies)
      .map(({ id }) => `${id.name}/${id.namespace}/${id.kind}`);
    expect(names).toEqual([
      'z/z/NetworkPolicy',
      'a//GlobalNetworkPolicy',
      'a/z/NetworkPolicy',
      'a/z/StagedNetworkPolicy',
      'b/a/NetworkPolicy',
      'a/a/NetworkPolicy',
    ]);
  });
});
