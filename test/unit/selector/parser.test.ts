// The grammar's corners, and the round trip of any expression through its canonical text.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Expression, evaluateExpression, sortedUnique } from '../../../lib/selector/expression.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';
import { Selector } from '../../../lib/selector/selector.ts';
import { SelectorError } from '../../../lib/selector/selector-error.ts';

const SEED = 20261125;

function errorOf(text: string): SelectorError {
  try {
    parseSelector(text);
  } catch (error) {
    if (error instanceof SelectorError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('parseSelector', () => {
  it.each([
    ['', 'all()'],
    [' \t ', 'all()'],
    ['!(!has(a))', '!!has(a)'],
    ['! ! ! has( a )', '!has(a)'],
    ['all( )', 'all()'],
    ['global() && has(x)', '(global() && has(x))'],
    ['a in {}', 'a in {}'],
    ["a in {'x',}", 'a in {"x"}'],
    ["a not\t in{'x'}", 'a not in {"x"}'],
    ["in in {'x'}", 'in in {"x"}'],
    ["has == 'x' || all != 'y'", '(has == "x" || all != "y")'],
    ["hasty == 'x'", 'hasty == "x"'],
    ['has(a) && (has(b) && has(c))', '(has(a) && (has(b) && has(c)))'],
    ['((has(a)))', 'has(a)'],
    ["a in {'\u{1F600}', '\uFFFD'}", 'a in {"\uFFFD", "\u{1F600}"}'],
  ])('reads %j as %s', (text, canonical) => {
    expect(parseSelector(text).canonical).toBe(canonical);
  });

  it.each([
    ['has (a)', 4, 'unexpectedToken'],
    ['has(a', 4, 'unexpectedCharacter'],
    ['all', 3, 'unexpectedToken'],
    ['allow()', 5, 'unexpectedToken'],
    ["a == 'b' c", 9, 'unexpectedToken'],
    ["a\n== 'b'", 1, 'unexpectedCharacter'],
    ["a == 'b", 5, 'unterminatedString'],
    ['a in {,}', 6, 'unexpectedToken'],
    ["a in {'b' 'c'}", 10, 'unexpectedToken'],
    ['a in_ {}', 2, 'unexpectedToken'],
    [`${'x'.repeat(513)} == 'a'`, 0, 'labelTooLong'],
    [`has(${'x'.repeat(513)})`, 0, 'labelTooLong'],
    ['('.repeat(100_000), 600, 'nestedTooDeeply'],
    ["a == 'b' &", 9, 'unexpectedCharacter'],
  ])('refuses %.40j at the right place', (text, position, code) => {
    const error = errorOf(text);
    expect({ position: error.position, code: error.type.code }).toEqual({ position, code });
  });

  it('accepts a label name of 512 characters', () => {
    const label = 'x'.repeat(512);
    expect(parseSelector(`has(${label})`).canonical).toBe(`has(${label})`);
  });

  it('does not take members of Object.prototype for labels', () => {
    expect(parseSelector('has(constructor)').matches({})).toBe(false);
    expect(parseSelector("toString != 'x'").matches({})).toBe(true);
  });
});

describe('Selector.id', () => {
  it.each([
    ['all()', 's:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug'],
    ["(all()) && !(foo == 'bar')", 's:EeWw3YaQcA00fIPOgHiOeeTIYsqHTNsDBYLdDw'],
  ])("is Calico's for %s", (text, id) => {
    expect(parseSelector(text).id).toBe(id);
  });
});

const label = fc.constantFrom('a', 'b.c/d', 'in', 'has', 'not', 'x-y_z');
const value = fc.string({ maxLength: 6 }).filter((text) => !(text.includes('"') && text.includes("'")));
const leaf: fc.Arbitrary<Expression> = fc.oneof(
  fc.constantFrom<Expression>({ kind: 'all' }, { kind: 'global' }),
  label.map((name): Expression => ({ kind: 'has', label: name })),
  fc.record({
    kind: fc.constant('compare' as const),
    label,
    operator: fc.constantFrom('==', '!=', 'contains', 'starts with', 'ends with'),
    value,
  }),
  fc.record({
    kind: fc.constant('member' as const),
    label,
    operator: fc.constantFrom('in', 'not in'),
    values: fc.array(value, { maxLength: 3 }).map(sortedUnique),
  }),
);
// `!` of `!` is left out: the text of it reads back as nothing at all, by the rule that repeated `!` are reduced.
const { expression } = fc.letrec<{ expression: Expression; operand: Expression }>((tie) => ({
  operand: fc.oneof({ maxDepth: 4 }, leaf, group(tie('expression'))),
  expression: fc.oneof(
    { maxDepth: 4 },
    leaf,
    group(tie('expression')),
    tie('operand').map((operand): Expression => ({ kind: 'not', operand })),
  ),
}));
function group(operand: fc.Arbitrary<Expression>): fc.Arbitrary<Expression> {
  return fc.record({
    kind: fc.constantFrom('and' as const, 'or' as const),
    operands: fc.array(operand, { minLength: 2, maxLength: 3 }),
  });
}

describe('canonical text', () => {
  it('reads back as the very same expression', () => {
    fc.assert(
      fc.property(expression, (original) => {
        const { canonical } = new Selector(original);
        expect(parseSelector(canonical).expression).toEqual(original);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('means the same to any labels', () => {
    const labels = fc.dictionary(label, value, { maxKeys: 4 });
    fc.assert(
      fc.property(expression, labels, (original, given) => {
        const again = parseSelector(new Selector(original).canonical);
        expect(again.matches(given)).toBe(evaluateExpression(original, given));
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('any text gives a selector or a SelectorError', () => {
    const words = fc.constantFrom(
      'a',
      ' ',
      'in',
      'has(',
      '(',
      ')',
      '{',
      '}',
      "'x'",
      '"',
      '==',
      '!',
      '&&',
      '||',
      'all()',
      ',',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            parseSelector(text);
          } catch (error) {
            expect(error).toBeInstanceOf(SelectorError);
          }
        },
      ),
      { seed: SEED, numRuns: 3000 },
    );
  });
});
