// Kubernetes label selectors to Calico's selector text (libcalico-go backend/k8s/conversion k8sSelectorToCalico).
// The text is what gets stored, so its spelling is Calico's: single quotes, `in { 'a', 'b' }`, `! has(x)`.

import type { LabelSelector, LabelSelectorRequirement } from '../model/kubernetes-types.ts';
import { NAMESPACE_LABEL_PREFIX, ORCHESTRATOR_LABEL } from '../model/label-names.ts';
import { labelValue, qualifiedName } from '../model/validation/formats.ts';
import { MAX_SELECTOR_LENGTH } from '../model/validation/rule-schema.ts';

/** One requirement of a selector, or why no selector can say it. */
interface Term {
  readonly text: string;
  readonly problem: string | undefined;
}

export interface SelectorText {
  readonly text: string;
  /** Requirements that could not be taken over: then more pods are selected than were meant. */
  readonly left: readonly string[];
}

const PODS_ONLY = `${ORCHESTRATOR_LABEL} == 'k8s'`;

/** Pods only: network sets and other orchestrators' endpoints are no Kubernetes peers. Undefined selects all pods. */
export function podSelectorText(selector: LabelSelector | null | undefined): string {
  return [PODS_ONLY, ...terms(selector).map(({ text }) => text)].join(' && ');
}

/** The longest part of the selector that can be stored. */
export function storablePodSelector(selector: LabelSelector | null | undefined): SelectorText {
  return storable(PODS_ONLY, terms(selector));
}

/** The same of namespaces; `all()` where nothing is left. */
export function storableNamespaceSelector(selector: LabelSelector | null | undefined): SelectorText {
  const { text, left } = storable('', terms(selector, NAMESPACE_LABEL_PREFIX));
  return { text: text || 'all()', left };
}

function storable(begin: string, all: readonly Term[]): SelectorText {
  let text = begin;
  const left: string[] = [];
  for (const term of all) {
    const longer = text === '' ? term.text : `${text} && ${term.text}`;
    if (term.problem !== undefined) left.push(term.problem);
    else if (longer.length > MAX_SELECTOR_LENGTH)
      left.push(`the selector has more than ${MAX_SELECTOR_LENGTH} characters as Calico writes it`);
    else text = longer;
  }
  return { text, left: [...new Set(left)] };
}

/** Why a selector cannot be taken over; `prefix` stands before its keys on an endpoint. */
export function selectorProblem(selector: LabelSelector | null | undefined, prefix = ''): string | undefined {
  return terms(selector, prefix).find(({ problem }) => problem !== undefined)?.problem;
}

/** Empty for no selector, which means the policy's own namespace; `all()` for one without terms. */
export function namespaceSelectorText(selector: LabelSelector | null | undefined): string {
  if (selector === undefined || selector === null) return '';
  const all = terms(selector).map(({ text }) => text);
  return all.length === 0 ? 'all()' : all.join(' && ');
}

function terms(selector: LabelSelector | null | undefined, prefix = ''): Term[] {
  const labels = Object.entries(selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return [
    ...labels.map(([label, value]) => ({
      text: `${label} == '${value}'`,
      problem: termProblem(`${prefix}${label}`, [value]),
    })),
    ...(selector?.matchExpressions ?? []).map((expression) => ({
      text: expressionText(expression),
      problem:
        expressionProblem(expression) ?? termProblem(`${prefix}${expression.key}`, expression.values ?? []),
    })),
  ];
}

/** A quote in a value would end it: what is no label's key or value never becomes part of a selector's text. */
function termProblem(key: string, values: readonly string[]): string | undefined {
  const badKey = qualifiedName(key);
  if (badKey !== undefined) return `label ${JSON.stringify(key)}: ${badKey}`;
  const bad = values.find((value) => labelValue(value) !== undefined);
  return bad === undefined ? undefined : `value ${JSON.stringify(bad)}: ${labelValue(bad)}`;
}

/** What an API server refuses in its own kinds, and may let through in a custom resource. */
function expressionProblem({ key, operator, values }: LabelSelectorRequirement): string | undefined {
  const takesValues = operator === 'In' || operator === 'NotIn';
  if (!takesValues && operator !== 'Exists' && operator !== 'DoesNotExist')
    return `label ${JSON.stringify(key)}: not an operator: ${JSON.stringify(operator)}`;
  const hasValues = (values ?? []).length > 0;
  if (takesValues === hasValues) return undefined;
  return `label ${JSON.stringify(key)}: ${operator} ${takesValues ? 'needs' : 'takes no'} values`;
}

function expressionText({ key, operator, values }: LabelSelectorRequirement): string {
  const set = `{ '${(values ?? []).join("', '")}' }`;
  switch (operator) {
    case 'In':
      return `${key} in ${set}`;
    case 'NotIn':
      return `${key} not in ${set}`;
    case 'Exists':
      return `has(${key})`;
    case 'DoesNotExist':
      return `! has(${key})`;
  }
}
