// Prefixing, replacing and joining selectors; what a selector demands of single labels.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseSelector } from '../../../lib/selector/parser.ts';
import { labelRestrictions } from '../../../lib/selector/restrictions.ts';
import {
  bothSelectors,
  hasLabel,
  labelEquals,
  labelIn,
  notSelector,
  prefixLabels,
  replaceAll,
  replaceGlobal,
} from '../../../lib/selector/rewrite.ts';

const SEED = 20261125;

describe('rewriting', () => {
  it('prefixes every label and no value', () => {
    const selector = parseSelector("a == 'a' && (has(b) || !c in {'c'}) && all()");
    expect(prefixLabels(selector, 'pcns.').canonical).toBe(
      '(pcns.a == "a" && (has(pcns.b) || !pcns.c in {"c"}) && all())',
    );
  });

  it('replaces all() and global() wherever they stand, but not inside a value', () => {
    const selector = parseSelector("!all() || global() || a == 'all()'");
    const replaced = replaceGlobal(replaceAll(selector, hasLabel('ns')), notSelector(hasLabel('ns')));
    expect(replaced.canonical).toBe('(!has(ns) || !has(ns) || a == "all()")');
  });

  it('joins as `(a) && (b)`', () => {
    expect(bothSelectors(labelEquals('a', 'x'), labelIn('b', ['z', 'y', 'z'])).canonical).toBe(
      '(a == "x" && b in {"y", "z"})',
    );
    expect(bothSelectors(undefined, hasLabel('b')).canonical).toBe('has(b)');
  });
});

function restrictions(text: string): Record<string, string[] | 'present'> {
  return Object.fromEntries(
    [...labelRestrictions(parseSelector(text))].map(([label, { values }]) => [
      label,
      values === undefined ? 'present' : [...values].sort(),
    ]),
  );
}

describe('labelRestrictions', () => {
  it.each([
    ["a == 'b'", { a: ['b'] }],
    ["a != 'b'", {}],
    ["a in {'b', 'c'}", { a: ['b', 'c'] }],
    ["a not in {'b'}", {}],
    ['has(a)', { a: 'present' }],
    ['!has(a)', {}],
    ["a starts with 'x'", { a: 'present' }],
    ["a == 'b' && c == 'd'", { a: ['b'], c: ['d'] }],
    ["a in {'b', 'c'} && a in {'c', 'd'}", { a: ['c'] }],
    ["a == 'b' && a == 'c'", { a: [] }],
    ["has(a) && a == 'b'", { a: ['b'] }],
    ["a == 'b' || a == 'c'", { a: ['b', 'c'] }],
    ["a == 'b' || has(a)", { a: 'present' }],
    ["a == 'b' || c == 'd'", {}],
    ['all()', {}],
  ])('of %s', (text, expected) => {
    expect(restrictions(text)).toEqual(expected);
  });

  it('never exclude labels that the selector matches', () => {
    const term = fc.constantFrom(
      "a == 'x'",
      "a in {'x', 'y'}",
      'has(b)',
      "b != 'x'",
      "!a == 'y'",
      "b contains 'y'",
    );
    const text = fc.array(fc.tuple(term, fc.constantFrom(' && ', ' || ')), { minLength: 1, maxLength: 5 });
    const labels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('x', 'y', 'z'));
    fc.assert(
      fc.property(text, labels, (terms, given) => {
        const selector = parseSelector(
          terms.map(([part, sign], at) => (at === 0 ? part : sign + part)).join(''),
        );
        if (!selector.matches(given)) return;
        for (const [label, { values }] of labelRestrictions(selector)) {
          const value = given[label];
          expect(value).toBeDefined();
          if (values !== undefined && value !== undefined) expect([...values]).toContain(value);
        }
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });
});
