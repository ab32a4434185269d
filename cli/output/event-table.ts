// Events as lines under each other: TIME HOST COMPONENT KIND OBJECT CAUSE. A list is aligned to what it holds; lines that
// are followed are shown at once, under columns that only ever grow.

import type { CalicoEvent } from '../../lib/events/event.ts';

const HEADINGS = ['TIME', 'HOST', 'COMPONENT', 'KIND', 'OBJECT', 'CAUSE'] as const;
/** What is usual, so that columns seldom have to grow while lines are followed. */
const WIDTHS = [24, 10, 10, 18, 32];
const GAP = 2;

export class EventTable {
  readonly #isLive: boolean;
  #widths: number[];
  #rows: string[][] = [];
  #isStarted = false;

  constructor(isLive: boolean) {
    this.#isLive = isLive;
    this.#widths = isLive ? [...WIDTHS] : HEADINGS.map((heading) => heading.length);
  }

  /** Text to show now; nothing as long as a list may still get wider. */
  line(event: CalicoEvent): string {
    const row = rowOf(event);
    this.#widths = this.#widths.map((width, column) => Math.max(width, row[column]?.length ?? 0));
    if (!this.#isLive) {
      this.#rows.push(row);
      return '';
    }
    return `${this.#headings()}${this.#format(row)}`;
  }

  /** Whether nothing waits to be shown. */
  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** The rest. */
  end(): string {
    const rows = this.#rows;
    this.#rows = [];
    return `${this.#headings()}${rows.map((row) => this.#format(row)).join('')}`;
  }

  #headings(): string {
    if (this.#isStarted) return '';
    this.#isStarted = true;
    return this.#format(HEADINGS);
  }

  #format(row: readonly string[]): string {
    const cells = row.map((cell, column) =>
      column === row.length - 1 ? cell : cell.padEnd((this.#widths[column] ?? 0) + GAP),
    );
    return `${cells.join('').trimEnd()}\n`;
  }
}

function rowOf({ time, host, component, kind, object = '', ...rest }: CalicoEvent): string[] {
  const { peer, count, revision, generation, durationMs, cause } = rest;
  const details = [
    peer === undefined ? undefined : `peer=${peer}`,
    count === undefined ? undefined : `count=${count}`,
    revision === undefined ? undefined : `revision=${revision}`,
    generation === undefined ? undefined : `generation=${generation}`,
    durationMs === undefined ? undefined : `${Math.round(durationMs * 10) / 10}ms`,
    cause,
  ];
  return [time, host, component, kind, object, details.filter((detail) => detail !== undefined).join(' ')];
}
