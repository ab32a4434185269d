// What a selector demands of single labels, so that an index can look at few candidates instead of all
// (an optimisation: whoever satisfies the selector satisfies the restrictions, never the other way round).

import type { Expression } from './expression.ts';
import type { Selector } from './selector.ts';

export interface LabelRestriction {
  /** The label must be there; with `values`, it must have one of them. An empty set: nothing can match. */
  readonly values: ReadonlySet<string> | undefined;
}
export type LabelRestrictions = ReadonlyMap<string, LabelRestriction>;

const NONE: LabelRestrictions = new Map();

/** By label: what every match of the selector has there. No entry: the label may be missing or anything. */
export function labelRestrictions(selector: Selector): LabelRestrictions {
  return restrictionsOf(selector.expression);
}

function restrictionsOf(expression: Expression): LabelRestrictions {
  switch (expression.kind) {
    case 'has':
      return new Map([[expression.label, { values: undefined }]]);
    case 'compare':
      if (expression.operator === '!=') return NONE;
      return new Map([
        [
          expression.label,
          { values: expression.operator === '==' ? new Set([expression.value]) : undefined },
        ],
      ]);
    case 'member':
      if (expression.operator === 'not in') return NONE;
      return new Map([[expression.label, { values: new Set(expression.values) }]]);
    case 'and':
      return expression.operands.map(restrictionsOf).reduce(intersect);
    case 'or':
      return expression.operands.map(restrictionsOf).reduce(unite);
    case 'all':
    case 'global':
    case 'not':
      return NONE;
  }
}

function intersect(a: LabelRestrictions, b: LabelRestrictions): LabelRestrictions {
  const result = new Map(a);
  for (const [label, restriction] of b) {
    const values = intersectValues(a.get(label)?.values, restriction.values);
    result.set(label, { values });
  }
  return result;
}

function intersectValues(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return new Set([...a].filter((value) => b.has(value)));
}

/** Only labels that both demand; without values as soon as one has none. */
function unite(a: LabelRestrictions, b: LabelRestrictions): LabelRestrictions {
  const result = new Map<string, LabelRestriction>();
  for (const [label, { values }] of a) {
    const other = b.get(label);
    if (other === undefined) continue;
    const both = values !== undefined && other.values !== undefined;
    result.set(label, { values: both ? new Set([...values, ...other.values]) : undefined });
  }
  return result;
}
