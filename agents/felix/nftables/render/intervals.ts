// Disjoint intervals over a whole address family, each with everything that holds for its addresses (docs/dataplane.md "CIDR
// classes"). Interval maps are given only these: overlapping elements are never left to nftables to merge.

import { type Cidr, cidrFirst, cidrLast, type Family, familyBits, formatIp } from '../../../../lib/net/ip.ts';

/** Something that holds for a network: an identity that it carries, or a rule that names it. */
export interface Atom {
  readonly cidr: Cidr;
  readonly name: string;
}

export interface Interval {
  readonly first: bigint;
  readonly last: bigint;
  /** Names of the atoms that hold, sorted. */
  readonly atoms: readonly string[];
}

interface Step {
  readonly at: bigint;
  readonly name: string;
  readonly by: 1 | -1;
}

/** Splits the family's space wherever what holds changes; neighbours with the same atoms are one interval. */
export function partition(family: Family, atoms: readonly Atom[]): readonly Interval[] {
  const end = 1n << BigInt(familyBits(family));
  const steps: Step[] = [];
  for (const atom of atoms) {
    if (atom.cidr.family !== family) continue;
    steps.push({ at: cidrFirst(atom.cidr).value, name: atom.name, by: 1 });
    steps.push({ at: cidrLast(atom.cidr).value + 1n, name: atom.name, by: -1 });
  }
  steps.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const holding = new Map<string, number>();
  const intervals: { first: bigint; last: bigint; atoms: readonly string[]; key: string }[] = [];
  let first = 0n;
  const close = (upTo: bigint): void => {
    if (upTo <= first) return;
    const names = [...holding.keys()].sort();
    const key = names.join(' ');
    const previous = intervals.at(-1);
    if (previous?.key === key) previous.last = upTo - 1n;
    else intervals.push({ first, last: upTo - 1n, atoms: names, key });
    first = upTo;
  };
  for (const step of steps) {
    close(step.at);
    const count = (holding.get(step.name) ?? 0) + step.by;
    if (count === 0) holding.delete(step.name);
    else holding.set(step.name, count);
  }
  close(end);
  return intervals;
}

/** As nftables writes it: an address, a network where the interval is one, or `first-last`. */
export function formatInterval(family: Family, interval: Interval): string {
  const first = formatIp({ family, value: interval.first });
  if (interval.first === interval.last) return first;
  const size = interval.last - interval.first + 1n;
  const isPowerOfTwo = (size & (size - 1n)) === 0n;
  if (isPowerOfTwo && interval.first % size === 0n) {
    const length = familyBits(family) - (size.toString(2).length - 1);
    return `${first}/${length}`;
  }
  return `${first}-${formatIp({ family, value: interval.last })}`;
}
