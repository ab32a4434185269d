// Unified differences: as diff(1) writes them, and so that they can be applied.

import { describe, expect, it } from '@jest/globals';
import { unifiedDiff } from '../../../cli/output/unified-diff.ts';

const NAMES = { from: 'a', to: 'b' };

describe('a unified difference', () => {
  it('is empty for equal texts', () => {
    expect(unifiedDiff('a\nb\n', 'a\nb\n', NAMES)).toBe('');
    expect(unifiedDiff('', '', NAMES)).toBe('');
  });

  it('shows changed lines with those around them', () => {
    const before = 'one\ntwo\nthree\nfour\nfive\nsix\n';
    expect(unifiedDiff(before, before.replace('five', '5'), NAMES)).toBe(
      '--- a\n+++ b\n@@ -2,5 +2,5 @@\n two\n three\n four\n-five\n+5\n six\n',
    );
    expect(unifiedDiff('', 'one\ntwo\n', NAMES)).toBe('--- a\n+++ b\n@@ -0,0 +1,2 @@\n+one\n+two\n');
  });

  it('makes the one text of the other, with positions that hold', () => {
    let state = 12345;
    const random = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state / 2_147_483_648;
    };
    const text = (): string =>
      Array.from({ length: Math.floor(random() * 40) }, () => `line ${Math.floor(random() * 6)}\n`).join('');
    for (let round = 0; round < 200; round += 1) {
      const [before, after] = [text(), text()];
      const diff = unifiedDiff(before, after, NAMES);
      expect({ round, after: patched(before, diff) }).toEqual({ round, after });
    }
  });
});

/** What patch(1) would make of it; throws where a hunk does not lie at its place. */
function patched(before: string, diff: string): string {
  const old = before.split('\n').slice(0, -1);
  const made: string[] = [];
  let at = 0;
  for (const line of diff.split('\n').slice(2, -1)) {
    const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@$/.exec(line);
    if (head !== null) {
      const start = Number(head[1]) - (head[2] === '0' ? 0 : 1);
      made.push(...old.slice(at, start));
      at = start;
      expect(made.length).toBe(Number(head[3]) - (head[4] === '0' ? 0 : 1));
    } else if (line.startsWith('+')) made.push(line.slice(1));
    else {
      expect(old[at]).toBe(line.slice(1));
      if (line.startsWith(' ')) made.push(line.slice(1));
      at += 1;
    }
  }
  return [...made, ...old.slice(at)].map((each) => `${each}\n`).join('');
}
