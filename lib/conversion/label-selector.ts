// Kubernetes label selectors to Calico's selector text (libcalico-go backend/k8s/conversion k8sSelectorToCalico).
// The text is what gets stored, so its spelling is Calico's: single quotes, `in { 'a', 'b' }`, `! has(x)`.

import type { LabelSelector, LabelSelectorRequirement } from '../model/kubernetes-types.ts';
import { ORCHESTRATOR_LABEL } from '../model/label-names.ts';
import { labelValue, qualifiedName } from '../model/validation/formats.ts';
import { MAX_SELECTOR_LENGTH } from '../model/validation/rule-schema.ts';

/** One requirement of a selector, or why no selector can say it. */
interface Term {
  readonly text: string;
  readonly problem: string | undefined;
}

export interface PodSelectorText {
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
export function storablePodSelector(selector: LabelSelector | null | undefined): PodSelectorText {
  let text = PODS_ONLY;
  const left: string[] = [];
  for (const term of terms(selector)) {
    const longer = `${text} && ${term.text}`;
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
      problem: termProblem(`${prefix}${expression.key}`, expression.values ?? []),
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
