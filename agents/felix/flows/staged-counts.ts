// Counters of what staged policies would have done, by policy and rule (docs/felix.md "Staged policies").

import type { StagedHit, StagedOutcome } from '../../../lib/protocol/flow-record.ts';

export interface StagedCount extends StagedHit {
  readonly connections: number;
}

/** Rules that are counted: more would be thousands of staged rules on one host. */
const MOST_RULES = 10_000;

export class StagedCounts {
  readonly #counts = new Map<string, { readonly hit: StagedHit; connections: number }>();
  readonly #changed = { allow: 0, deny: 0 };
  #uncounted = 0;

  add({ verdict, policies }: StagedOutcome, enforced: 'allow' | 'deny', connections: number): void {
    if (verdict !== enforced) this.#changed[verdict] += connections;
    for (const hit of policies) this.#addHit(hit, connections);
  }

  #addHit(hit: StagedHit, connections: number): void {
    const key = JSON.stringify(hit);
    const known = this.#counts.get(key);
    if (known !== undefined) known.connections += connections;
    else if (this.#counts.size >= MOST_RULES) this.#uncounted += connections;
    else this.#counts.set(key, { hit, connections });
  }

  get all(): readonly StagedCount[] {
    return [...this.#counts.values()].map(({ hit, connections }) => ({ ...hit, connections }));
  }

  /** Connections whose verdict would be another: by the verdict that they would get. */
  get changed(): { readonly allow: number; readonly deny: number } {
    return this.#changed;
  }

  /** Connections of rules beyond those that are counted. */
  get uncounted(): number {
    return this.#uncounted;
  }
}
