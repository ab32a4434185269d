// What `calicoctl diff` says of traffic, as docs/policy.md shows it.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { renderComparison } from '../../../cli/output/comparison.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import type { Comparison } from '../../../lib/policy/connectivity/compare.ts';
import { compareConnectivity } from '../../../lib/policy/connectivity/compare.ts';
import { networkPolicy, SHOP } from '../../support/policy-world.ts';

function opening(port: number): ReturnType<typeof resolveCluster> {
  const rule: Rule = {
    action: 'Allow',
    protocol: 'TCP',
    source: { selector: "app == 'web'" },
    destination: { ports: [port] },
  };
  return resolveCluster([...SHOP, networkPolicy('db', { selector: "app == 'db'", ingress: [rule] })]);
}

const NOTHING: Comparison = { changes: [], subjects: 3, classes: 2, pairs: 4, pairsLookedAt: 4 };

describe('a comparison', () => {
  it('is as the docs show it', () => {
    const shown = /calicoctl diff -f`[^`]*```\n([^`]*)```/.exec(readFileSync('docs/policy.md', 'utf8'))?.[1];
    expect(renderComparison(compareConnectivity(opening(5432), opening(5433)))).toBe(shown);
  });

  it('says that nothing changes only if all was looked at', () => {
    expect(renderComparison(NOTHING)).toBe('connectivity does not change\n');
    expect(renderComparison({ ...NOTHING, pairsLookedAt: 1 })).toBe(
      'only 1 of 4 pairs of classes were looked at (3 ends in 2 classes): there may be more\n',
    );
  });

  it('names a few groups and counts the rest', () => {
    const change = {
      from: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'],
      to: ['x'],
      lost: 'tcp',
      gained: '',
      family: 6,
    } as const;
    expect(renderComparison({ ...NOTHING, changes: [change] })).toContain(
      'a, b, c, d, e, f and 2 more   x    loses    tcp (over IPv6)\n',
    );
  });
});
