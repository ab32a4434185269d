// Medians of the runs as tables: figures of each daemon, and their ratios to bgpd's.

import type { Daemon } from './daemons/daemon.ts';
import { PHASES, type PhaseName, type TaskResult } from './generator/protocol.ts';
import { prefixCount, type Row } from './rows.ts';

export interface Measured extends TaskResult {
  readonly row: string;
  readonly daemon: string;
  /** From the start of the process to its configuration in force, as far as it tells. */
  readonly startSeconds: number;
  readonly longestTurnMs?: number;
}

const MEGABYTE = 1e6;
const SUBJECT = 'bgpd';

/** One run in one line. */
export function describeRun(one: Measured): string {
  const phases = one.phases.map(
    ({ name, seconds, cpuSeconds }) => `${name} ${duration(seconds)}/${duration(cpuSeconds)}`,
  );
  const faults = faultsOf(one);
  const failure = one.failure === undefined ? '' : `; ${one.failure.phase}: ${one.failure.reason}`;
  const memory = `${megabytes(one.restOctets)} → ${megabytes(one.peakOctets)} MB`;
  return `${one.row} ${one.daemon}: ${phases.join(', ')}; ${memory}${faults === '' ? '' : `; ${faults}`}${failure}`;
}

/** Markdown. */
export function renderTables(
  rows: readonly Row[],
  daemons: readonly Daemon[],
  measured: readonly Measured[],
): string {
  const names = daemons.map(({ name }) => name);
  const of = (row: Row, daemon: string): readonly Measured[] =>
    measured.filter((each) => each.row === row.name && each.daemon === daemon);
  const table = (title: string, cell: (row: Row, daemon: string) => string, columns = names): string =>
    [
      `### ${title}`,
      '',
      `| row | ${columns.join(' | ')} |`,
      `| --- |${columns.map(() => ' --- |').join('')}`,
      ...rows.map((row) => `| ${row.name} | ${columns.map((daemon) => cell(row, daemon)).join(' | ')} |`),
    ].join('\n');
  const others = names.filter((name) => name !== SUBJECT);
  const phases = (['establish', ...PHASES, 'join'] as const).filter((name) =>
    measured.some((each) => each.phases.some((phase) => phase.name === name)),
  );
  return [
    ...phases.map((name) =>
      table(`${name}: seconds / CPU seconds`, (row, daemon) => phaseCell(of(row, daemon), name)),
    ),
    ...phases.map((name) =>
      table(
        `${name}: time of ${SUBJECT} over time of …`,
        (row, daemon) => ratio(of(row, SUBJECT), of(row, daemon), name),
        others,
      ),
    ),
    table('start of the process until it is configured, seconds, where it tells', (row, daemon) =>
      format(median(of(row, daemon).map(({ startSeconds }) => startSeconds))),
    ),
    table('memory: MB at rest → most in announce → most; octets a prefix', (row, daemon) =>
      memoryCell(of(row, daemon), row),
    ),
    table('CPU seconds of the generator in announce', (row, daemon) =>
      format(phaseMedian(of(row, daemon), 'announce', ({ generatorCpuSeconds }) => generatorCpuSeconds)),
    ),
    table('longest turn of the event loop, ms', (row, daemon) => turnCell(of(row, daemon)), [SUBJECT]),
    table('not as it should be', (row, daemon) => notes(of(row, daemon), row)),
  ].join('\n\n');
}

type Phase = TaskResult['phases'][number];

function phaseMedian(
  runs: readonly Measured[],
  name: PhaseName,
  figure: (phase: Phase) => number,
): number | undefined {
  return median(runs.flatMap(({ phases }) => phases.filter((phase) => phase.name === name).map(figure)));
}

function phaseCell(runs: readonly Measured[], name: PhaseName): string {
  const seconds = phaseMedian(runs, name, (phase) => phase.seconds);
  if (seconds !== undefined)
    return `${duration(seconds)} / ${duration(phaseMedian(runs, name, ({ cpuSeconds }) => cpuSeconds) ?? 0)}`;
  const failed = runs.find(({ failure }) => failure?.phase === name);
  if (failed?.failure === undefined) return '–';
  return failed.failure.isTimeout ? failed.failure.reason : 'failed';
}

function ratio(subject: readonly Measured[], other: readonly Measured[], name: PhaseName): string {
  const own = phaseMedian(subject, name, ({ seconds }) => seconds);
  const theirs = phaseMedian(other, name, ({ seconds }) => seconds);
  return own === undefined || theirs === undefined ? '–' : (own / theirs).toPrecision(2);
}

function memoryCell(runs: readonly Measured[], row: Row): string {
  const rest = median(runs.map(({ restOctets }) => restOctets));
  const announce = median(runs.map(({ announcePeakOctets }) => announcePeakOctets));
  const peak = median(runs.map(({ peakOctets }) => peakOctets));
  if (rest === undefined || announce === undefined || peak === undefined) return '–';
  const each = (octets: number): string => ((octets - rest) / prefixCount(row)).toFixed(0);
  return `${megabytes(rest)} → ${megabytes(announce)} → ${megabytes(peak)}; ${each(announce)}, ${each(peak)}`;
}

function turnCell(runs: readonly Measured[]): string {
  const turns = runs.flatMap(({ longestTurnMs }) => longestTurnMs ?? []);
  return turns.length === 0 ? '–' : Math.max(...turns).toFixed(1);
}

function notes(runs: readonly Measured[], { senders, receivers }: Row): string {
  const faults = new Set(runs.map(faultsOf).filter((text) => text !== ''));
  const silent = runs.filter(({ endOfRibs }) => endOfRibs < senders + receivers).length;
  const failures = new Set(
    runs.flatMap(({ failure }) => (failure === undefined ? [] : `${failure.phase}: ${failure.reason}`)),
  );
  const endOfRib = silent > 0 ? [`no End-of-RIB to some in ${silent} runs`] : [];
  return [...faults, ...endOfRib, ...failures].join('; ') || 'none';
}

function faultsOf({ faults }: Measured): string {
  return Object.entries(faults)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
}

function format(seconds: number | undefined): string {
  return seconds === undefined ? '–' : duration(seconds);
}

function duration(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(3) : seconds.toFixed(1);
}

function megabytes(octets: number): string {
  return (octets / MEGABYTE).toFixed(0);
}
