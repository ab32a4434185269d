// Sets of ports as sorted disjoint ranges: union, difference, and the split into what a hash map spells out and what needs
// an interval map.

import type { PortRange } from '../../../../lib/policy/compiled.ts';

export const ALL_PORTS: readonly PortRange[] = [{ min: 0, max: 65535 }];
/** A range of more ports than this goes into an interval map. */
const WIDEST_SPELLED_OUT = 32;

/** Sorted, without overlaps, neighbours joined. */
export function normalizePorts(ranges: readonly PortRange[]): readonly PortRange[] {
  const sorted = [...ranges].sort((a, b) => a.min - b.min);
  const result: { min: number; max: number }[] = [];
  for (const range of sorted) {
    const last = result.at(-1);
    if (last !== undefined && range.min <= last.max + 1) last.max = Math.max(last.max, range.max);
    else if (range.min <= range.max) result.push({ min: range.min, max: range.max });
  }
  return result;
}

export function subtractPorts(from: readonly PortRange[], taken: readonly PortRange[]): readonly PortRange[] {
  let left = normalizePorts(from);
  for (const hole of taken) {
    left = left.flatMap((range) => {
      if (hole.max < range.min || hole.min > range.max) return [range];
      const below = { min: range.min, max: hole.min - 1 };
      const above = { min: hole.max + 1, max: range.max };
      return [below, above].filter((part) => part.min <= part.max);
    });
  }
  return left;
}

/** Single ports for a hash map, ranges for an interval map. Together they are the given set. */
export function splitPorts(ranges: readonly PortRange[]): {
  readonly single: readonly number[];
  readonly wide: readonly PortRange[];
} {
  const single: number[] = [];
  const wide: PortRange[] = [];
  for (const range of normalizePorts(ranges)) {
    if (range.max - range.min >= WIDEST_SPELLED_OUT) wide.push(range);
    else for (let port = range.min; port <= range.max; port++) single.push(port);
  }
  return { single, wide };
}
