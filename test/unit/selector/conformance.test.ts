// Recorded selector expressions: which parse, their canonical text, and what they match (test/conformance/SOURCE.md).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parseSelector } from '../../../lib/selector/parser.ts';
import { SelectorError } from '../../../lib/selector/selector-error.ts';

interface SelectorCase {
  readonly selector: string;
  readonly valid: boolean;
  readonly canonical?: string;
  readonly cases?: readonly { readonly labels: Record<string, string>; readonly matches: boolean }[];
}

const cases = JSON.parse(
  readFileSync(path.join(__dirname, '../../conformance/selectors.json'), 'utf8'),
) as SelectorCase[];

describe('selector conformance', () => {
  it('covers all recorded expressions', () => {
    expect(cases).toHaveLength(69);
  });

  it.each(cases.filter((recorded) => recorded.valid))('accepts $selector', (recorded) => {
    const selector = parseSelector(recorded.selector);
    expect(selector.canonical).toBe(recorded.canonical);
    for (const { labels, matches } of recorded.cases ?? []) {
      expect({ labels, matches: selector.matches(labels) }).toEqual({ labels, matches });
    }
  });

  it.each(cases.filter((recorded) => !recorded.valid))('refuses $selector', (recorded) => {
    expect(() => parseSelector(recorded.selector)).toThrow(SelectorError);
  });
});
