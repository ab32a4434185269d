// What a change means for traffic, a line for those that fare alike.

import type { Comparison } from '../../lib/policy/connectivity/compare.ts';
import type { ConnectivityChange } from '../../lib/policy/connectivity/merge-changes.ts';
import { renderTable } from './table.ts';

const MAX_NAMES = 6;

export function renderComparison(comparison: Comparison): string {
  const { changes, subjects, classes, pairs, pairsLookedAt } = comparison;
  const rows = changes.flatMap((change) => [
    ...(change.lost === '' ? [] : [row(change, 'loses', change.lost)]),
    ...(change.gained === '' ? [] : [row(change, 'gains', change.gained)]),
  ]);
  const bound =
    pairsLookedAt < pairs
      ? `only ${pairsLookedAt} of ${pairs} pairs of classes were looked at (${subjects} ends in ${classes} classes): there may be more\n`
      : '';
  if (rows.length === 0) return `${bound === '' ? 'connectivity does not change\n' : bound}`;
  return `${renderTable(['FROM', 'TO', 'CHANGE', 'TRAFFIC'], rows)}${bound}`;
}

function row({ from, to, family }: ConnectivityChange, verb: string, traffic: string): string[] {
  return [names(from), names(to), verb, family === undefined ? traffic : `${traffic} (over IPv${family})`];
}

function names(groups: readonly string[]): string {
  const more = groups.length - MAX_NAMES;
  const shown = groups.slice(0, MAX_NAMES).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}
