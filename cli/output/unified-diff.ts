// The difference of two texts in the unified form of diff(1), by their longest common subsequence of lines.

const CONTEXT = 3;
/** Lines of one text times lines of the other, without what both begin and end with; beyond it all of that is one change. */
const MAX_CELLS = 4_000_000;

type Mark = ' ' | '-' | '+';
interface Line {
  readonly mark: Mark;
  readonly text: string;
}

/** Empty text if they are equal. `from` and `to` are the names in its head. */
export function unifiedDiff(
  before: string,
  after: string,
  { from, to }: { readonly from: string; readonly to: string },
): string {
  const lines = diffLines(linesOf(before), linesOf(after));
  if (lines.every(({ mark }) => mark === ' ')) return '';
  return `--- ${from}\n+++ ${to}\n${hunks(lines).join('')}`;
}

function linesOf(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
}

function diffLines(before: readonly string[], after: readonly string[]): Line[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const kept = (texts: readonly string[]): Line[] => texts.map((text) => ({ mark: ' ', text }));
  const middle = diffMiddle(before.slice(head, before.length - tail), after.slice(head, after.length - tail));
  return [...kept(before.slice(0, head)), ...middle, ...kept(before.slice(before.length - tail))];
}

function diffMiddle(before: readonly string[], after: readonly string[]): Line[] {
  const removed = before.map((text): Line => ({ mark: '-', text }));
  const added = after.map((text): Line => ({ mark: '+', text }));
  if (before.length * after.length > MAX_CELLS) return [...removed, ...added];
  const common = commonLengths(before, after);
  const lines: Line[] = [];
  let a = 0;
  let b = 0;
  while (a < before.length || b < after.length) {
    const one = before[a];
    const other = after[b];
    if (one !== undefined && one === other) {
      lines.push({ mark: ' ', text: one });
      a += 1;
      b += 1;
    } else if (one !== undefined && (other === undefined || at(common, a + 1, b) >= at(common, a, b + 1))) {
      lines.push({ mark: '-', text: one });
      a += 1;
    } else {
      lines.push({ mark: '+', text: other ?? '' });
      b += 1;
    }
  }
  return lines;
}

/** `[a][b]`: the length of the longest common subsequence of what is behind a and b. */
function commonLengths(before: readonly string[], after: readonly string[]): Uint32Array[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let a = before.length - 1; a >= 0; a -= 1) {
    const row = lengths[a];
    if (row === undefined) break;
    for (let b = after.length - 1; b >= 0; b -= 1) {
      row[b] =
        before[a] === after[b]
          ? at(lengths, a + 1, b + 1) + 1
          : Math.max(at(lengths, a + 1, b), row[b + 1] ?? 0);
    }
  }
  return lengths;
}

function at(lengths: readonly Uint32Array[], a: number, b: number): number {
  return lengths[a]?.[b] ?? 0;
}

function hunks(lines: readonly Line[]): string[] {
  const changed = lines.flatMap(({ mark }, index) => (mark === ' ' ? [] : index));
  const ranges: { start: number; end: number }[] = [];
  for (const index of changed) {
    const start = Math.max(0, index - CONTEXT);
    const end = Math.min(lines.length, index + CONTEXT + 1);
    const last = ranges.at(-1);
    if (last !== undefined && start <= last.end) last.end = end;
    else ranges.push({ start, end });
  }
  return ranges.map(({ start, end }) => {
    const position = (but: Mark): string => {
      const skipped = lines.slice(0, start).filter(({ mark }) => mark !== but).length;
      const count = lines.slice(start, end).filter(({ mark }) => mark !== but).length;
      // As diff(1) has it: an empty range names the line before it, and a count of one is left out.
      const first = count === 0 ? skipped : skipped + 1;
      return count === 1 ? String(first) : `${first},${count}`;
    };
    const body = lines.slice(start, end).map(({ mark, text }) => `${mark}${text}\n`);
    return `@@ -${position('+')} +${position('-')} @@\n${body.join('')}`;
  });
}
