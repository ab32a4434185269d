// Effective labels of endpoints and network sets: their own, and below them those that their profiles apply
// (Felix's labelindex). Own labels win, then the profile listed first that has the label.

import { effectiveLabels } from '../../../lib/policy/labels.ts';
import type { Labels } from '../../../lib/selector/expression.ts';
import type { LabelledInput } from './inputs.ts';
import { MultiMap } from './multi-map.ts';

export class LabelInheritance {
  private readonly onEffectiveLabels: (item: string, labels: Labels | undefined) => void;
  private readonly inputsByItem = new Map<string, LabelledInput>();
  private readonly labelsByProfile = new Map<string, Labels>();
  private readonly itemsByProfile = new MultiMap<string, string>();

  /** `onEffectiveLabels` is called at every change of an item, with undefined when it goes. */
  constructor(onEffectiveLabels: (item: string, labels: Labels | undefined) => void) {
    this.onEffectiveLabels = onEffectiveLabels;
  }

  updateItem(item: string, input: LabelledInput | undefined): void {
    const previous = this.inputsByItem.get(item);
    for (const profile of previous?.profiles ?? []) this.itemsByProfile.remove(profile, item);
    if (input === undefined) {
      if (previous === undefined) return;
      this.inputsByItem.delete(item);
      this.onEffectiveLabels(item, undefined);
      return;
    }
    this.inputsByItem.set(item, input);
    for (const profile of input.profiles) this.itemsByProfile.add(profile, item);
    this.onEffectiveLabels(item, this.effectiveLabels(input));
  }

  updateProfile(profile: string, labels: Labels | undefined): void {
    if (labels === undefined) this.labelsByProfile.delete(profile);
    else this.labelsByProfile.set(profile, labels);
    for (const item of this.itemsByProfile.get(profile) ?? []) {
      const input = this.inputsByItem.get(item);
      if (input !== undefined) this.onEffectiveLabels(item, this.effectiveLabels(input));
    }
  }

  private effectiveLabels(input: LabelledInput): Labels {
    const inherited = input.profiles.map((profile) => this.labelsByProfile.get(profile));
    // Without anything to inherit the labels are shared, not copied: most of the cluster's memory is labels.
    return inherited.every(isEmpty) ? input.labels : effectiveLabels(input.labels, inherited);
  }
}

function isEmpty(labels: Labels | undefined): boolean {
  return labels === undefined || Object.keys(labels).length === 0;
}
