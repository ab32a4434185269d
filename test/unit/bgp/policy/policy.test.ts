// Policy rules: each condition alone, the first match, and what a rule sets.

import { describe, expect, it } from '@jest/globals';
import { prependAsn } from '../../../../agents/bgp/packet/attributes/as-path.ts';
import type { RouteAttributes } from '../../../../agents/bgp/packet/validate.ts';
import {
  ACCEPT_ALL,
  applyPolicy,
  type PolicyMatch,
  REJECT_ALL,
} from '../../../../agents/bgp/policy/policy.ts';
import { cidr, ip } from '../rib/rib-support.ts';

const attributes: RouteAttributes = {
  origin: 'igp',
  asPath: [{ type: 'sequence', asns: [65001, 65002] }],
  nextHop: ip('10.9.0.2'),
  localPref: 300,
  communities: [7],
  largeCommunities: [[1, 2, 3]],
};
const accepts = (
  match: Partial<PolicyMatch>,
  prefix = '10.1.2.0/26',
  source: 'local' | 'peer' = 'peer',
): boolean =>
  applyPolicy(
    { rules: [{ match: { operator: 'in', ...match }, action: 'accept' }], otherwise: 'reject' },
    { prefix: cidr(prefix), source, attributes },
  ) !== undefined;

describe('conditions', () => {
  const table: [Partial<PolicyMatch>, boolean][] = [
    [{}, true],
    [{ prefix: cidr('10.1.0.0/16') }, true],
    [{ prefix: cidr('10.1.2.0/26') }, true],
    [{ prefix: cidr('10.1.2.0/27') }, false],
    [{ prefix: cidr('fd00::/8') }, false],
    [{ prefix: cidr('10.1.2.0/26'), operator: 'equal' }, true],
    [{ prefix: cidr('10.1.0.0/16'), operator: 'equal' }, false],
    [{ prefix: cidr('10.1.2.0/26'), operator: 'notEqual' }, false],
    [{ prefix: cidr('10.1.0.0/16'), operator: 'notEqual' }, true],
    [{ prefix: cidr('10.1.0.0/16'), operator: 'notIn' }, false],
    [{ prefix: cidr('10.2.0.0/16'), operator: 'notIn' }, true],
    [{ minLength: 26, maxLength: 26 }, true],
    [{ minLength: 27 }, false],
    [{ maxLength: 25 }, false],
    [{ family: 4 }, true],
    [{ family: 6 }, false],
    [{ source: 'peer' }, true],
    [{ source: 'local' }, false],
    [{ community: 7 }, true],
    [{ community: 8 }, false],
    [{ largeCommunity: [1, 2, 3] }, true],
    [{ largeCommunity: [1, 2, 4] }, false],
    [{ asPathPrefix: [65001] }, true],
    [{ asPathPrefix: [65001, 65002, 65003] }, false],
    [{ localPref: 300 }, true],
    [{ localPref: 100 }, false],
    [{ nextHop: cidr('10.9.0.0/24') }, true],
    [{ nextHop: cidr('10.9.1.0/24') }, false],
    [{ nextHop: cidr('fd09::/64') }, false],
    [{ prefix: cidr('10.1.0.0/16'), community: 8 }, false],
  ];
  it.each(table)('%j: %s', (match, expected) => {
    expect(accepts(match)).toBe(expected);
  });

  it('an AS path goes on in its next sequence, up to a set', () => {
    const asPath: RouteAttributes['asPath'] = [
      { type: 'sequence', asns: [1, 2] },
      { type: 'sequence', asns: [3] },
      { type: 'set', asns: [4] },
    ];
    const begins = (...asPathPrefix: number[]): boolean =>
      applyPolicy(
        { rules: [{ match: { operator: 'in', asPathPrefix }, action: 'accept' }], otherwise: 'reject' },
        { prefix: cidr('10.1.2.0/26'), source: 'peer', attributes: { ...attributes, asPath } },
      ) !== undefined;
    expect([begins(1, 2, 3), begins(1, 2, 3, 4)]).toEqual([true, false]);
  });

  it('paths of our own have no next hop, whatever stands in its place', () => {
    expect(accepts({ nextHop: cidr('0.0.0.0/0') }, '10.1.2.0/26', 'local')).toBe(false);
    expect(accepts({ nextHop: cidr('0.0.0.0/0') }, '10.1.2.0/26', 'peer')).toBe(true);
  });
});

describe('rules', () => {
  const input = { prefix: cidr('10.1.2.0/26'), source: 'peer' as const, attributes };
  const anything = { operator: 'in' as const };

  it('the first that matches decides', () => {
    const rules = [
      { match: { operator: 'in' as const, family: 6 as const }, action: 'reject' as const },
      { match: anything, action: 'accept' as const, set: { localPref: 1 } },
      { match: anything, action: 'reject' as const },
    ];
    expect(applyPolicy({ rules, otherwise: 'reject' }, input)?.localPref).toBe(1);
  });

  it('what none matches goes by the default, with the same object', () => {
    expect(applyPolicy(ACCEPT_ALL, input)).toBe(attributes);
    expect(applyPolicy(REJECT_ALL, input)).toBeUndefined();
  });

  it('sets what it says and leaves the rest', () => {
    const set = {
      localPref: 50,
      multiExitDisc: 9,
      addCommunities: [5, 7],
      addLargeCommunities: [[1, 2, 3] as const, [9, 9, 9] as const],
      prependAsns: [65010, 65011],
    };
    const rule = { match: anything, action: 'accept' as const, set };
    expect(applyPolicy({ rules: [rule], otherwise: 'reject' }, input)).toEqual({
      ...attributes,
      localPref: 50,
      multiExitDisc: 9,
      communities: [5, 7],
      largeCommunities: [
        [1, 2, 3],
        [9, 9, 9],
      ],
      asPath: [{ type: 'sequence', asns: [65010, 65011, 65001, 65002] }],
    });
  });
});

describe('prepending (RFC 4271 §5.1.2)', () => {
  it('begins a new segment before a set and before a full sequence', () => {
    const full = { type: 'sequence' as const, asns: new Array<number>(255).fill(1) };
    expect(prependAsn([{ type: 'set', asns: [1] }], 9)).toEqual([
      { type: 'sequence', asns: [9] },
      { type: 'set', asns: [1] },
    ]);
    expect(prependAsn([full], 9)).toEqual([{ type: 'sequence', asns: [9] }, full]);
    expect(prependAsn([], 9)).toEqual([{ type: 'sequence', asns: [9] }]);
  });
});
