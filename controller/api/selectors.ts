// Label and field selectors of list and watch requests (Kubernetes API concepts: "Labels and Selectors", "Field Selectors").

import { ApiError } from './api-error.ts';
import { isQualifiedName } from './names.ts';

export type LabelRequirement =
  | { readonly key: string; readonly operator: 'exists' | 'absent' }
  | { readonly key: string; readonly operator: 'in' | 'notIn'; readonly values: ReadonlySet<string> };
export type LabelSelector = readonly LabelRequirement[];

export interface FieldRequirement {
  readonly field: string;
  readonly equal: boolean;
  readonly value: string;
}
export type FieldSelector = readonly FieldRequirement[];

/** `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, joined by commas. */
export function parseLabelSelector(text: string): LabelSelector {
  return splitOutsideParentheses(text).map(parseLabelRequirement);
}

function parseLabelRequirement(text: string): LabelRequirement {
  const requirement = matchLabelRequirement(text);
  if (requirement !== undefined && isQualifiedName(requirement.key)) return requirement;
  throw new ApiError('BadRequest', `unable to parse requirement: ${JSON.stringify(text)}`);
}

function matchLabelRequirement(text: string): LabelRequirement | undefined {
  const set = /^([^\s!=]+)\s+(in|notin)\s+\(([^()]*)\)$/.exec(text);
  if (set !== null) {
    const values = new Set((set[3] ?? '').split(',').map((value) => value.trim()));
    return { key: set[1] ?? '', operator: set[2] === 'in' ? 'in' : 'notIn', values };
  }
  const equality = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(text);
  if (equality !== null) {
    const operator = equality[2] === '!=' ? 'notIn' : 'in';
    return { key: equality[1] ?? '', operator, values: new Set([equality[3] ?? '']) };
  }
  const existence = /^(!?)\s*([^\s!=(),]+)$/.exec(text);
  if (existence !== null)
    return { key: existence[2] ?? '', operator: existence[1] === '!' ? 'absent' : 'exists' };
  return undefined;
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index <= text.length; index++) {
    const character = text[index];
    if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === undefined || (character === ',' && depth === 0)) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  return parts.filter((part) => part !== '');
}

export function matchesLabels(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>> | null | undefined,
): boolean {
  return selector.every((requirement) => matchesRequirement(requirement, labels?.[requirement.key]));
}

function matchesRequirement(requirement: LabelRequirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'in':
      return value !== undefined && requirement.values.has(value);
    case 'notIn':
      return value === undefined || !requirement.values.has(value);
  }
}

/** `field=value`, `field==value`, `field!=value`, joined by commas; a value may be empty. */
export function parseFieldSelector(text: string, supported: readonly string[]): FieldSelector {
  const parts = text.split(',').filter((part) => part !== '');
  return parts.map((part) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part);
    if (match === null) throw new ApiError('BadRequest', `invalid field selector: ${JSON.stringify(part)}`);
    const field = (match[1] ?? '').trim();
    if (!supported.includes(field)) throw new ApiError('BadRequest', `field label not supported: ${field}`);
    return { field, equal: match[2] !== '!=', value: match[3] ?? '' };
  });
}

/** `source` of an Event is `source.component`; every other field is a path into the object. */
export function matchesFields(selector: FieldSelector, object: unknown): boolean {
  return selector.every(({ field, equal, value }) => {
    const path = field === 'source' ? 'source.component' : field;
    return (fieldText(object, path) === value) === equal;
  });
}

function fieldText(object: unknown, path: string): string {
  let value: unknown = object;
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null) return '';
    value = (value as Record<string, unknown>)[part];
  }
  return value === undefined || value === null ? '' : String(value);
}
