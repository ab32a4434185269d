// Medians of the rounds as tables.

import type { Layout } from './layouts/layouts.ts';
import type { Scale } from './scales.ts';
import {
  CALLS,
  type Calls,
  KINDS,
  type Kind,
  type Sample,
  TOPOLOGIES,
  type Topology,
} from './sender/protocol.ts';

/** What of a bed is looked at. */
export interface View {
  readonly kind: Kind;
  readonly topology: Topology;
  readonly calls: Calls;
}

const CALLS_TEXT: Readonly<Record<Calls, string>> = {
  each: 'each packet by calls of its own',
  batch: 'a batch by one call',
};

/** Markdown: for each topology and kind, what a layout costs over no rules at each scale, and the ratio. */
export function renderPathTables(
  layouts: readonly Layout[],
  samples: ReadonlyMap<Scale, readonly Sample[]>,
): string {
  const scales = [...samples.keys()];
  const views = CALLS.flatMap((calls) =>
    KINDS.flatMap((kind) => TOPOLOGIES.map((topology): View => ({ calls, kind, topology }))),
  );
  const tables = views.flatMap((view) => {
    const rows = layouts.flatMap(({ name }) => {
      const cells = scales.map((scale) => figureOf(samples.get(scale) ?? [], name, view));
      if (cells.every((cell) => cell === undefined)) return [];
      return [`| ${name} | ${cells.map(cellText).join(' | ')} |`];
    });
    if (rows.length === 0) return [];
    return [
      [
        `### ${view.kind}, ${view.topology}, ${CALLS_TEXT[view.calls]}: ratio to no rules (extra ns)`,
        '',
        `| layout | ${scales.map(({ name }) => name).join(' | ')} |`,
        `| --- |${scales.map(() => ' --- |').join('')}`,
        ...rows,
      ].join('\n'),
    ];
  });
  const wrong = [...samples].flatMap(([scale, all]) =>
    all.flatMap(({ bed, kind, topology, wrong: count }) =>
      count === 0 ? [] : [`${scale.name} ${bed}, ${kind}, ${topology}: ${count} packets`],
    ),
  );
  const faults = ['### not as it should be', '', ...(wrong.length === 0 ? ['nothing'] : wrong)].join('\n');
  return [...tables, faults].join('\n\n');
}

export interface PathFigure {
  readonly ratio: number;
  readonly extraNs: number;
  readonly ns: number;
}

/** Medians of the rounds; undefined if nothing was measured. */
export function figureOf(
  samples: readonly Sample[],
  bed: string,
  { kind, topology, calls }: View,
): PathFigure | undefined {
  const own = samples.filter(
    (each) =>
      each.bed === bed &&
      each.kind === kind &&
      each.topology === topology &&
      each.calls === calls &&
      each.pairs > 0,
  );
  if (own.length === 0) return undefined;
  return {
    ratio: median(own.map(({ ns, bareNs }) => ns / bareNs)),
    extraNs: median(own.map(({ ns, bareNs }) => ns - bareNs)),
    ns: median(own.map(({ ns }) => ns)),
  };
}

function cellText(figure: PathFigure | undefined): string {
  return figure === undefined ? '–' : `${figure.ratio.toFixed(2)} (${figure.extraNs.toFixed(0)})`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (upper + lower) / 2;
}
