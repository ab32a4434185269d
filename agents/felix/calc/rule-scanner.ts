// Counts which selectors the active policies and profiles use (Felix's rule scanner), so that each is resolved once, from
// the first rule that needs it to the last.

import type { RuleSelector } from '../../../lib/policy/compile.ts';
import type { SelectorId } from '../../../lib/policy/compiled.ts';

export interface RuleScannerCallbacks {
  onSelectorActive(selector: RuleSelector): void;
  onSelectorInactive(id: SelectorId): void;
}

export class RuleScanner {
  private readonly callbacks: RuleScannerCallbacks;
  private readonly selectorsByOwner = new Map<string, ReadonlySet<SelectorId>>();
  private readonly ownersBySelector = new Map<SelectorId, number>();

  constructor(callbacks: RuleScannerCallbacks) {
    this.callbacks = callbacks;
  }

  /** `owner` is a policy's or profile's key; its selectors replace those it had. An empty list when it goes. */
  update(owner: string, selectors: readonly RuleSelector[]): void {
    const previous = this.selectorsByOwner.get(owner);
    const current = new Map(selectors.map((selector) => [selector.id, selector]));
    for (const [id, selector] of current) {
      if (previous?.has(id) !== true) this.addOwner(selector);
    }
    for (const id of previous ?? []) {
      if (!current.has(id)) this.removeOwner(id);
    }
    if (current.size === 0) this.selectorsByOwner.delete(owner);
    else this.selectorsByOwner.set(owner, new Set(current.keys()));
  }

  private addOwner(selector: RuleSelector): void {
    const owners = this.ownersBySelector.get(selector.id) ?? 0;
    this.ownersBySelector.set(selector.id, owners + 1);
    if (owners === 0) this.callbacks.onSelectorActive(selector);
  }

  private removeOwner(id: SelectorId): void {
    const owners = (this.ownersBySelector.get(id) ?? 0) - 1;
    if (owners < 0) throw new Error(`selector ${id} released more often than used`);
    if (owners > 0) {
      this.ownersBySelector.set(id, owners);
      return;
    }
    this.ownersBySelector.delete(id);
    this.callbacks.onSelectorInactive(id);
  }
}
