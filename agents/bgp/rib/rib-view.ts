// The tables as values, for those who look: destinations with all their paths and the decision explained.

import type { Cidr } from '../../../lib/net/ip.ts';
import type { AddressFamily } from '../packet/iana.ts';
import { type Decision, type DecisionOptions, decide } from './decision.ts';
import type { FamilyTable } from './family-table.ts';
import type { Path } from './path.ts';

export interface Destination {
  readonly family: AddressFamily;
  readonly prefix: Cidr;
  readonly decision: Decision;
}

/** Undefined if the prefix has no path. */
export function destinationOf(
  table: FamilyTable,
  id: number,
  options: DecisionOptions,
): Destination | undefined {
  if (!table.prefixes.isUsed(id)) return undefined;
  const prefix = table.prefixes.cidr(id);
  const paths: Path[] = [];
  for (let path = table.first(id); path !== 0; path = table.next(path))
    if (!table.isGone(path)) paths.push(pathOf(table, path, prefix));
  if (paths.length === 0) return undefined;
  return { family: table.family, prefix, decision: decide(paths, options) };
}

function pathOf(table: FamilyTable, path: number, prefix: Cidr): Path {
  const { source, attributes, received, ineligible } = table.setOf(path);
  const pathId = table.pathIdOf(path);
  return {
    prefix,
    family: table.family,
    source,
    attributes,
    received: received.attributes,
    stale: table.isStale(path),
    ...(pathId === 0 ? {} : { pathId }),
    ...(ineligible === undefined ? {} : { ineligible }),
  };
}
