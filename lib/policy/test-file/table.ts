// The expected table of a matrix: a line of destinations, then a line for each source, with `allow`, `deny`, or `-` for what is
// not asked.

export interface ExpectedCell {
  readonly from: string;
  readonly to: string;
  readonly expect: 'allow' | 'deny';
}

export type ParsedTable =
  | { readonly ok: true; readonly cells: readonly ExpectedCell[] }
  | { readonly ok: false; readonly message: string };

export function parseTable(text: string): ParsedTable {
  const [head = [], ...rows] = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.join('') !== '');
  const [firstRow] = rows;
  if (firstRow === undefined) return failure('a table needs a line of destinations and one for each source');
  // Something may stand in the corner.
  const destinations = head.length === firstRow.length ? head.slice(1) : head;
  const cells: ExpectedCell[] = [];
  for (const [from = '', ...words] of rows) {
    if (words.length !== destinations.length)
      return failure(`${from}: ${words.length} verdicts for ${destinations.length} destinations`);
    for (const [index, expect] of words.entries()) {
      if (expect === '-') continue;
      if (expect !== 'allow' && expect !== 'deny')
        return failure(`${from}: ${JSON.stringify(expect)} is not allow, deny or -`);
      cells.push({ from, to: destinations[index] ?? '', expect });
    }
  }
  return cells.length === 0 ? failure('the table asks nothing') : { ok: true, cells };
}

function failure(message: string): ParsedTable {
  return { ok: false, message };
}
