// The difference of lists of networks, beside that of sets.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { netDifference } from '../../../lib/net/net-difference.ts';

const SEED = 20_261_126;
const lists = fc.uniqueArray(fc.nat(20).map((index) => `10.0.0.${index}/32`));

describe('the difference of two lists', () => {
  it('is that of two sets, whatever their order', () => {
    fc.assert(
      fc.property(lists, lists, (before, after) => {
        const { removed, added } = netDifference(before, after);
        const missing = (from: readonly string[], list: readonly string[]) =>
          list.filter((net) => !from.includes(net));
        expect([...removed].sort()).toEqual(missing(after, before).sort());
        expect([...added].sort()).toEqual(missing(before, after).sort());
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it.each([
    ['one in place of another', ['a', 'b', 'c'], ['a', 'x', 'c'], ['b'], ['x']],
    ['one more', ['a', 'c'], ['a', 'b', 'c'], [], ['b']],
    ['one less', ['a', 'b', 'c'], ['b', 'c'], ['a'], []],
    ['turned round', ['a', 'b', 'c'], ['c', 'b', 'a'], [], []],
  ])('%s', (_, before, after, removed, added) => {
    expect(netDifference(before, after)).toEqual({ removed, added });
  });
});
