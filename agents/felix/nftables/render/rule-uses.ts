// What the rules of policies and profiles refer to: selectors, networks, and whether a negation needs everything that holds for
// an address at once. Kept up to date by owner, so that a change finds the groups that it touches.

import type { CompiledRule, SelectorId } from '../../../../lib/policy/compiled.ts';
import type { IntervalNeeds } from './peers.ts';
import { needsAllTable } from './sides.ts';

interface Uses {
  readonly selectors: ReadonlySet<SelectorId>;
  readonly nets: ReadonlySet<string>;
  readonly needsAll: boolean;
}

export class RuleUses {
  readonly #byOwner = new Map<string, Uses>();
  readonly #ownersBySelector = new Map<SelectorId, Set<string>>();
  readonly #netCounts = new Map<string, number>();
  #ownersThatNeedAll = 0;

  /** Undefined rules: the owner is gone. Returns whether the interval tables have to change. */
  set(owner: string, rules: readonly CompiledRule[] | undefined): boolean {
    const netsBefore = this.#netCounts.size;
    const needsAllBefore = this.#ownersThatNeedAll > 0;
    const changedNets = this.#drop(owner);
    if (rules !== undefined) {
      for (const net of this.#add(owner, usesOf(rules))) {
        if (!changedNets.delete(net)) changedNets.add(net);
      }
    }
    return (
      changedNets.size > 0 ||
      netsBefore !== this.#netCounts.size ||
      needsAllBefore !== this.#ownersThatNeedAll > 0
    );
  }

  ownersOf(selector: SelectorId): Iterable<string> {
    return this.#ownersBySelector.get(selector) ?? [];
  }

  get needs(): IntervalNeeds {
    return { ruleNets: new Set(this.#netCounts.keys()), needsAll: this.#ownersThatNeedAll > 0 };
  }

  /** Networks that nobody names any more. */
  #drop(owner: string): Set<string> {
    const gone = new Set<string>();
    const uses = this.#byOwner.get(owner);
    if (uses === undefined) return gone;
    this.#byOwner.delete(owner);
    for (const selector of uses.selectors) this.#ownersBySelector.get(selector)?.delete(owner);
    for (const net of uses.nets) {
      const count = (this.#netCounts.get(net) ?? 0) - 1;
      if (count > 0) this.#netCounts.set(net, count);
      else {
        this.#netCounts.delete(net);
        gone.add(net);
      }
    }
    if (uses.needsAll) this.#ownersThatNeedAll--;
    return gone;
  }

  /** Networks that nobody named before. */
  #add(owner: string, uses: Uses): Set<string> {
    const made = new Set<string>();
    this.#byOwner.set(owner, uses);
    for (const selector of uses.selectors) {
      const owners = this.#ownersBySelector.get(selector) ?? new Set();
      this.#ownersBySelector.set(selector, owners.add(owner));
    }
    for (const net of uses.nets) {
      const count = this.#netCounts.get(net) ?? 0;
      this.#netCounts.set(net, count + 1);
      if (count === 0) made.add(net);
    }
    if (uses.needsAll) this.#ownersThatNeedAll++;
    return made;
  }
}

function usesOf(rules: readonly CompiledRule[]): Uses {
  const selectors = new Set<SelectorId>();
  const nets = new Set<string>();
  let needsAll = false;
  for (const rule of rules) {
    for (const side of [rule.source, rule.destination]) {
      for (const selector of [...side.selectors, ...side.notSelectors]) selectors.add(selector);
      for (const named of [...side.namedPorts, ...side.notNamedPorts]) selectors.add(named.selector);
      for (const net of [...side.nets, ...side.notNets]) nets.add(net);
      needsAll ||= needsAllTable(side);
    }
  }
  return { selectors, nets, needsAll };
}
