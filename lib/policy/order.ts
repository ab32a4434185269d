// In which order tiers and the policies of a tier are asked (felix/calc policy_sorter.go; docs/policy.md "Order").

import type { PolicyId } from './compiled.ts';

export interface TierRank {
  readonly name: string;
  readonly order: number | undefined;
  /** False: policies name it, but the datastore does not have it. It comes after all others and denies at its end. */
  readonly exists: boolean;
}

export interface PolicyRank {
  readonly id: PolicyId;
  readonly order: number | undefined;
}

/** Tiers that exist before those that do not, then by order (none last), then by name. */
export function compareTiers(a: TierRank, b: TierRank): number {
  if (a.exists !== b.exists) return a.exists ? -1 : 1;
  return compareOrder(a.order, b.order) || compareText(a.name, b.name);
}

/** Within a tier: by order (none last), ties by the text `name/namespace/kind`. */
export function comparePolicies(a: PolicyRank, b: PolicyRank): number {
  return compareOrder(a.order, b.order) || compareText(tieBreaker(a.id), tieBreaker(b.id));
}

function tieBreaker({ name, namespace, kind }: PolicyId): string {
  return `${name}/${namespace}/${kind}`;
}

function compareOrder(a: number | undefined, b: number | undefined): number {
  const first = a ?? Number.POSITIVE_INFINITY;
  const second = b ?? Number.POSITIVE_INFINITY;
  return first === second ? 0 : first < second ? -1 : 1;
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
