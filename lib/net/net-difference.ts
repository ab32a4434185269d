// What has gone from a list of networks and what has come. A set may have ten thousand of which one changes at a time.

export interface NetDifference {
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** Of two lists in each of which every text stands once. Costs little where they differ in few places close together. */
export function netDifference(before: readonly string[], after: readonly string[]): NetDifference {
  if (before === after) return { removed: [], added: [] };
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let behind = 0;
  while (behind < most - start && before.at(-1 - behind) === after.at(-1 - behind)) behind++;
  const old = new Set(before.slice(start, before.length - behind));
  const fresh = new Set(after.slice(start, after.length - behind));
  return {
    removed: [...old].filter((net) => !fresh.has(net)),
    added: [...fresh].filter((net) => !old.has(net)),
  };
}
