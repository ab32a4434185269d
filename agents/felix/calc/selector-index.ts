// Which labelled items match which selectors, kept up to date change by change (Felix's labelindex). A change of one
// item or selector is compared only with the candidates that the selectors' label restrictions leave over.

import type { Labels } from '../../../lib/selector/expression.ts';
import { type LabelRestrictions, labelRestrictions } from '../../../lib/selector/restrictions.ts';
import type { Selector } from '../../../lib/selector/selector.ts';
import { MultiMap } from './multi-map.ts';

export interface SelectorMatchCallbacks<ItemKey, SelectorKey> {
  onMatchStarted(selector: SelectorKey, item: ItemKey): void;
  onMatchStopped(selector: SelectorKey, item: ItemKey): void;
}

/** The one place where a selector is filed: under the label that leaves the fewest items, or among the unfiled. */
type Filing =
  | { readonly type: 'values'; readonly label: string; readonly values: ReadonlySet<string> }
  | { readonly type: 'label'; readonly label: string }
  | { readonly type: 'none' };

interface FiledSelector {
  readonly selector: Selector;
  readonly filing: Filing;
}

const EMPTY: ReadonlySet<never> = new Set<never>();

export class SelectorIndex<ItemKey, SelectorKey> {
  private readonly callbacks: SelectorMatchCallbacks<ItemKey, SelectorKey>;
  private readonly labelsByItem = new Map<ItemKey, Labels>();
  private readonly itemsByLabel = new MultiMap<string, ItemKey>();
  private readonly itemsByLabelValue = new MultiMap<string, ItemKey>();
  private readonly selectorsByKey = new Map<SelectorKey, FiledSelector>();
  private readonly selectorsByLabel = new MultiMap<string, SelectorKey>();
  private readonly selectorsByLabelValue = new MultiMap<string, SelectorKey>();
  private readonly unfiledSelectors = new Set<SelectorKey>();
  private readonly itemsBySelector = new MultiMap<SelectorKey, ItemKey>();
  private readonly selectorsByItem = new MultiMap<ItemKey, SelectorKey>();

  constructor(callbacks: SelectorMatchCallbacks<ItemKey, SelectorKey>) {
    this.callbacks = callbacks;
  }

  /** Adds the item, or replaces its labels. */
  updateItem(item: ItemKey, labels: Labels): void {
    const previous = this.labelsByItem.get(item);
    if (previous === labels) return;
    if (previous !== undefined) this.unfileItem(item, previous);
    this.labelsByItem.set(item, labels);
    this.fileItem(item, labels);
    const candidates = new Set(this.selectorsOf(item));
    this.collectCandidateSelectors(labels, candidates);
    for (const key of candidates) {
      const filed = this.selectorsByKey.get(key);
      if (filed !== undefined) this.setMatch(key, item, filed.selector.matches(labels));
    }
  }

  deleteItem(item: ItemKey): void {
    const labels = this.labelsByItem.get(item);
    if (labels === undefined) return;
    this.unfileItem(item, labels);
    this.labelsByItem.delete(item);
    for (const key of [...this.selectorsOf(item)]) this.setMatch(key, item, false);
  }

  /** Adds the selector, or replaces it. */
  updateSelector(key: SelectorKey, selector: Selector): void {
    const previous = this.selectorsByKey.get(key);
    if (previous?.selector.canonical === selector.canonical) return;
    if (previous !== undefined) this.unfileSelector(key, previous.filing);
    const filing = this.chooseFiling(labelRestrictions(selector));
    this.selectorsByKey.set(key, { selector, filing });
    this.fileSelector(key, filing);
    for (const item of [...this.itemsOf(key)]) {
      if (!selector.matches(this.labelsByItem.get(item) ?? {})) this.setMatch(key, item, false);
    }
    for (const [item, labels] of this.candidateItems(filing)) {
      if (selector.matches(labels)) this.setMatch(key, item, true);
    }
  }

  deleteSelector(key: SelectorKey): void {
    const filed = this.selectorsByKey.get(key);
    if (filed === undefined) return;
    this.unfileSelector(key, filed.filing);
    this.selectorsByKey.delete(key);
    for (const item of [...this.itemsOf(key)]) this.setMatch(key, item, false);
  }

  itemsOf(key: SelectorKey): ReadonlySet<ItemKey> {
    return this.itemsBySelector.get(key) ?? EMPTY;
  }

  selectorsOf(item: ItemKey): ReadonlySet<SelectorKey> {
    return this.selectorsByItem.get(item) ?? EMPTY;
  }

  private setMatch(key: SelectorKey, item: ItemKey, isMatch: boolean): void {
    const wasMatch = this.itemsOf(key).has(item);
    if (isMatch === wasMatch) return;
    if (isMatch) {
      this.itemsBySelector.add(key, item);
      this.selectorsByItem.add(item, key);
      this.callbacks.onMatchStarted(key, item);
    } else {
      this.itemsBySelector.remove(key, item);
      this.selectorsByItem.remove(item, key);
      this.callbacks.onMatchStopped(key, item);
    }
  }

  private fileItem(item: ItemKey, labels: Labels): void {
    for (const [label, value] of Object.entries(labels)) {
      this.itemsByLabel.add(label, item);
      this.itemsByLabelValue.add(labelValueKey(label, value), item);
    }
  }

  private unfileItem(item: ItemKey, labels: Labels): void {
    for (const [label, value] of Object.entries(labels)) {
      this.itemsByLabel.remove(label, item);
      this.itemsByLabelValue.remove(labelValueKey(label, value), item);
    }
  }

  private collectCandidateSelectors(labels: Labels, into: Set<SelectorKey>): void {
    for (const key of this.unfiledSelectors) into.add(key);
    for (const [label, value] of Object.entries(labels)) {
      for (const key of this.selectorsByLabel.get(label) ?? EMPTY) into.add(key);
      for (const key of this.selectorsByLabelValue.get(labelValueKey(label, value)) ?? EMPTY) into.add(key);
    }
  }

  private *candidateItems(filing: Filing): Generator<readonly [ItemKey, Labels]> {
    if (filing.type === 'none') {
      yield* this.labelsByItem;
      return;
    }
    const groups =
      filing.type === 'label'
        ? [this.itemsByLabel.get(filing.label)]
        : [...filing.values].map((value) => this.itemsByLabelValue.get(labelValueKey(filing.label, value)));
    for (const group of groups) {
      for (const item of group ?? EMPTY) {
        const labels = this.labelsByItem.get(item);
        if (labels !== undefined) yield [item, labels];
      }
    }
  }

  /** The restriction with the fewest items today; values before a bare label. The choice costs speed only, never truth. */
  private chooseFiling(restrictions: LabelRestrictions): Filing {
    let best: Filing = { type: 'none' };
    let bestCost = Number.POSITIVE_INFINITY;
    for (const [label, { values }] of restrictions) {
      const filing: Filing =
        values === undefined ? { type: 'label', label } : { type: 'values', label, values };
      const cost = this.countItems(filing) + (filing.type === 'label' ? 0.5 : 0);
      if (cost < bestCost) {
        best = filing;
        bestCost = cost;
      }
    }
    return best;
  }

  private countItems(filing: Filing): number {
    switch (filing.type) {
      case 'none':
        return this.labelsByItem.size;
      case 'label':
        return this.itemsByLabel.get(filing.label)?.size ?? 0;
      case 'values': {
        let count = 0;
        for (const value of filing.values) {
          count += this.itemsByLabelValue.get(labelValueKey(filing.label, value))?.size ?? 0;
        }
        return count;
      }
    }
  }

  private fileSelector(key: SelectorKey, filing: Filing): void {
    switch (filing.type) {
      case 'none':
        this.unfiledSelectors.add(key);
        return;
      case 'label':
        this.selectorsByLabel.add(filing.label, key);
        return;
      case 'values':
        for (const value of filing.values)
          this.selectorsByLabelValue.add(labelValueKey(filing.label, value), key);
    }
  }

  private unfileSelector(key: SelectorKey, filing: Filing): void {
    switch (filing.type) {
      case 'none':
        this.unfiledSelectors.delete(key);
        return;
      case 'label':
        this.selectorsByLabel.remove(filing.label, key);
        return;
      case 'values':
        for (const value of filing.values)
          this.selectorsByLabelValue.remove(labelValueKey(filing.label, value), key);
    }
  }
}

/** No label holds a blank, so the pair cannot be read in two ways. */
function labelValueKey(label: string, value: string): string {
  return `${label} ${value}`;
}
