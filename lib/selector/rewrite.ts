// Making selectors from selectors, as Calico's syncer does when it combines a policy's or a rule's several selector
// fields into one (docs/policy.md "Combining selectors"). All of it works on the tree, so a label's value is never touched.

import { type Expression, mapLeaves, sortedUnique } from './expression.ts';
import { Selector } from './selector.ts';

/** Every label name with the prefix before it: `role == 'db'` → `pcns.role == 'db'`. */
export function prefixLabels(selector: Selector, prefix: string): Selector {
  return new Selector(
    mapLeaves(selector.expression, (leaf) =>
      'label' in leaf ? { ...leaf, label: `${prefix}${leaf.label}` } : leaf,
    ),
  );
}

/** `all()` wherever it stands becomes `replacement`. */
export function replaceAll(selector: Selector, replacement: Selector): Selector {
  return replaceKind(selector, 'all', replacement.expression);
}

/** `global()` wherever it stands becomes `replacement`. */
export function replaceGlobal(selector: Selector, replacement: Selector): Selector {
  return replaceKind(selector, 'global', replacement.expression);
}

function replaceKind(selector: Selector, kind: 'all' | 'global', replacement: Expression): Selector {
  return new Selector(mapLeaves(selector.expression, (leaf) => (leaf.kind === kind ? replacement : leaf)));
}

/** `(a) && (b)`; the one that is there if the other is undefined. */
export function bothSelectors(a: Selector, b: Selector | undefined): Selector;
export function bothSelectors(a: Selector | undefined, b: Selector): Selector;
export function bothSelectors(a: Selector | undefined, b: Selector | undefined): Selector | undefined;
export function bothSelectors(a: Selector | undefined, b: Selector | undefined): Selector | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return new Selector({ kind: 'and', operands: [a.expression, b.expression] });
}

/** `!(a)` */
export function notSelector(selector: Selector): Selector {
  return new Selector({ kind: 'not', operand: selector.expression });
}

/** `label == 'value'` */
export function labelEquals(label: string, value: string): Selector {
  return new Selector({ kind: 'compare', label, operator: '==', value });
}

/** `label in {values}` */
export function labelIn(label: string, values: readonly string[]): Selector {
  return new Selector({ kind: 'member', label, operator: 'in', values: sortedUnique(values) });
}

/** `has(label)` */
export function hasLabel(label: string): Selector {
  return new Selector({ kind: 'has', label });
}
