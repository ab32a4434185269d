// Lines under each other as they come. A list is aligned to what it holds; lines that are followed are shown at once, under
// columns that only ever grow.

const GAP = 2;

export class LiveTable {
  readonly #isLive: boolean;
  readonly #headings: readonly string[];
  #widths: number[];
  #rows: (readonly string[])[] = [];
  #isStarted = false;

  /** `usualWidths`: of all columns but the last, so that they seldom have to grow while lines are followed. */
  constructor(headings: readonly string[], usualWidths: readonly number[], isLive: boolean) {
    this.#isLive = isLive;
    this.#headings = headings;
    this.#widths = isLive ? [...usualWidths] : headings.map((heading) => heading.length);
  }

  /** Text to show now; nothing as long as a list may still get wider. */
  line(row: readonly string[]): string {
    this.#widths = this.#widths.map((width, column) => Math.max(width, row[column]?.length ?? 0));
    if (!this.#isLive) {
      this.#rows.push(row);
      return '';
    }
    return `${this.#heading()}${this.#format(row)}`;
  }

  /** Whether nothing waits to be shown. */
  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** The rest. */
  end(): string {
    const rows = this.#rows;
    this.#rows = [];
    return `${this.#heading()}${rows.map((row) => this.#format(row)).join('')}`;
  }

  #heading(): string {
    if (this.#isStarted) return '';
    this.#isStarted = true;
    return this.#format(this.#headings);
  }

  #format(row: readonly string[]): string {
    const cells = row.map((cell, column) =>
      column === row.length - 1 ? cell : cell.padEnd((this.#widths[column] ?? 0) + GAP),
    );
    return `${cells.join('').trimEnd()}\n`;
  }
}
