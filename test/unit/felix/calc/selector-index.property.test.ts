// The index against asking every selector about every item.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SelectorIndex } from '../../../../agents/felix/calc/selector-index.ts';
import type { Labels } from '../../../../lib/selector/expression.ts';
import { parseSelector } from '../../../../lib/selector/parser.ts';
import type { Selector } from '../../../../lib/selector/selector.ts';

const SEED = 77;
const SELECTORS = [
  'all()',
  "a == 'x'",
  "a == 'y' && b == 'x'",
  "a in {'x', 'y'}",
  'a in {}',
  'has(b)',
  '!has(a)',
  "a != 'x'",
  "(a == 'x' && has(b)) || a == 'y'",
  "a starts with 'x'",
  "has(b) && b contains 'y'",
];
const labels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('x', 'y', 'xy'), {
  noNullPrototype: true,
});
const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('item' as const), key: fc.nat(3), labels: fc.option(labels) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('selector' as const),
      key: fc.nat(3),
      text: fc.option(fc.constantFrom(...SELECTORS)),
    }),
  },
);

describe('SelectorIndex', () => {
  it(`has told of exactly the matches that there are, after each change (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 30 }), (operations) => {
        const told = new Set<string>();
        const index = new SelectorIndex<number, number>({
          onMatchStarted: (selector, item) => {
            expect(told.has(`${selector} ${item}`)).toBe(false);
            told.add(`${selector} ${item}`);
          },
          onMatchStopped: (selector, item) => expect(told.delete(`${selector} ${item}`)).toBe(true),
        });
        const items = new Map<number, Labels>();
        const selectors = new Map<number, Selector>();
        for (const change of operations) {
          if (change.type === 'item') applyItem(index, items, change.key, change.labels);
          else applySelector(index, selectors, change.key, change.text);
          const expected = matches(items, selectors);
          expect([...told].sort()).toEqual(expected);
          expect(indexed(index)).toEqual(expected);
        }
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

function applyItem(
  index: SelectorIndex<number, number>,
  items: Map<number, Labels>,
  key: number,
  itemLabels: Labels | null,
): void {
  if (itemLabels === null) {
    items.delete(key);
    index.deleteItem(key);
  } else {
    items.set(key, itemLabels);
    index.updateItem(key, itemLabels);
  }
}

function applySelector(
  index: SelectorIndex<number, number>,
  selectors: Map<number, Selector>,
  key: number,
  text: string | null,
): void {
  if (text === null) {
    selectors.delete(key);
    index.deleteSelector(key);
  } else {
    const selector = parseSelector(text);
    selectors.set(key, selector);
    index.updateSelector(key, selector);
  }
}

function matches(items: ReadonlyMap<number, Labels>, selectors: ReadonlyMap<number, Selector>): string[] {
  return [...selectors]
    .flatMap(([key, selector]) =>
      [...items].filter(([, itemLabels]) => selector.matches(itemLabels)).map(([item]) => `${key} ${item}`),
    )
    .sort();
}

function indexed(index: SelectorIndex<number, number>): string[] {
  const keys = [0, 1, 2, 3];
  const bySelector = keys.flatMap((key) => [...index.itemsOf(key)].map((item) => `${key} ${item}`)).sort();
  const byItem = keys.flatMap((item) => [...index.selectorsOf(item)].map((key) => `${key} ${item}`)).sort();
  expect(byItem).toEqual(bySelector);
  return bySelector;
}
