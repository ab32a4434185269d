// Every single question of a test file's cases and matrices, with what is expected.

import type { TestCase, TestFile, TestMatrix } from './schema.ts';
import { parseTable } from './table.ts';

export interface ExpandedCase extends TestCase {
  readonly name: string;
  /** In the file: `cases[0]`. */
  readonly path: string;
}

/** A matrix that cannot be read, or asks nothing. */
export interface UnreadableMatrix {
  readonly name: string;
  readonly path: string;
  readonly message: string;
}

export interface ExpandedFile {
  readonly cases: readonly ExpandedCase[];
  readonly unreadable: readonly UnreadableMatrix[];
}

export function expandCases({ cases = [], matrices = [] }: TestFile): ExpandedFile {
  const single = cases.map((testCase, index): ExpandedCase => {
    const { from, to, port, expect } = testCase;
    const name = testCase.name ?? `${from} → ${to} ${port}: ${expect}`;
    return { ...testCase, name, path: `cases[${index}]` };
  });
  const unreadable: UnreadableMatrix[] = [];
  const cells = matrices.flatMap((matrix, index) => expandMatrix(matrix, `matrices[${index}]`, unreadable));
  return { cases: [...single, ...cells], unreadable };
}

function expandMatrix(matrix: TestMatrix, path: string, unreadable: UnreadableMatrix[]): ExpandedCase[] {
  const title = matrix.name === undefined ? '' : `${matrix.name}: `;
  const parsed = 'table' in matrix ? parseTable(matrix.table) : everyCell(matrix);
  if (!parsed.ok) {
    unreadable.push({ name: `${title}${path}`, path, message: parsed.message });
    return [];
  }
  const cases = parsed.cells.flatMap((cell) =>
    matrix.ports.map((port) => {
      const name = `${title}${cell.from} → ${cell.to} ${port}: ${cell.expect}`;
      return { ...cell, port, name, path };
    }),
  );
  if (cases.length === 0)
    unreadable.push({ name: `${title}${path}`, path, message: 'the matrix asks nothing' });
  return cases;
}

function everyCell({
  from,
  to,
  expect,
}: Exclude<TestMatrix, { readonly table: string }>): ReturnType<typeof parseTable> {
  const pairs = from.flatMap((source) => to.map((target) => ({ from: source, to: target, expect })));
  return { ok: true, cells: pairs.filter((pair) => pair.from !== pair.to) };
}
