// Disjoint intervals, checked against a look at single addresses, and sets of ports against a set of numbers.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Atom, formatInterval, partition } from '../../../../agents/felix/nftables/render/intervals.ts';
import { normalizePorts, splitPorts, subtractPorts } from '../../../../agents/felix/nftables/render/ports.ts';
import { cidrContains, parseCidr } from '../../../../lib/net/ip.ts';

const SEED = 20261125;
const cidr = fc
  .tuple(fc.nat(0xffff), fc.integer({ min: 12, max: 32 }))
  .map(([bits, length]) => parseCidr(`10.0.${bits >> 8}.${bits & 255}/${length}`));
const atoms = fc.array(
  fc.tuple(cidr, fc.constantFrom('i1', 'i2', 'n1')).map(([net, name]): Atom => {
    if (net === undefined) throw new Error('no network');
    return { cidr: net, name };
  }),
  { maxLength: 12 },
);

describe('partition', () => {
  it('covers the whole space without overlaps, each address with all that holds for it', () => {
    fc.assert(
      fc.property(atoms, fc.nat(0xffff), (all, low) => {
        const intervals = partition(4, all);
        let next = 0n;
        for (const interval of intervals) {
          expect(interval.first).toBe(next);
          next = interval.last + 1n;
        }
        expect(next).toBe(1n << 32n);
        const value = (10n << 24n) | BigInt(low);
        const found = intervals.find(({ first, last }) => first <= value && value <= last);
        const holding = all.filter((atom) => cidrContains(atom.cidr, { family: 4, value }));
        expect(found?.atoms).toEqual([...new Set(holding.map(({ name }) => name))].sort());
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it('joins neighbours in which the same holds', () => {
    const halves = ['10.0.0.0/25', '10.0.0.128/25'].map((text) => ({ cidr: parseCidr(text), name: 'i1' }));
    const intervals = partition(4, halves as Atom[]);
    expect(intervals.map((interval) => formatInterval(4, interval))).toEqual([
      '0.0.0.0-9.255.255.255',
      '10.0.0.0/24',
      '10.0.1.0-255.255.255.255',
    ]);
  });

  it('writes IPv6 and single addresses as nft takes them', () => {
    const net = parseCidr('fd00::1/128');
    const intervals = partition(6, net === undefined ? [] : [{ cidr: net, name: 'i1' }]);
    expect(intervals.map((interval) => formatInterval(6, interval))).toEqual([
      '::-fd00::',
      'fd00::1',
      'fd00::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ]);
  });
});

describe('sets of ports', () => {
  const range = fc.tuple(fc.nat(200), fc.nat(60)).map(([min, size]) => ({ min, max: min + size }));
  const ranges = fc.array(range, { maxLength: 6 });
  const numbers = (all: readonly { readonly min: number; readonly max: number }[]): ReadonlySet<number> =>
    new Set(all.flatMap(({ min, max }) => Array.from({ length: max - min + 1 }, (_, index) => min + index)));

  it('are the same sets after joining, splitting and subtracting', () => {
    fc.assert(
      fc.property(ranges, ranges, (from, taken) => {
        const left = subtractPorts(from, taken);
        const expected = [...numbers(from)].filter((port) => !numbers(taken).has(port)).sort((a, b) => a - b);
        expect([...numbers(left)].sort((a, b) => a - b)).toEqual(expected);
        const { single, wide } = splitPorts(from);
        expect([...single, ...numbers(wide)].sort((a, b) => a - b)).toEqual(
          [...numbers(from)].sort((a, b) => a - b),
        );
        expect(
          normalizePorts(from).every(({ min }, index, all) => min > (all[index - 1]?.max ?? -2) + 1),
        ).toBe(true);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});
