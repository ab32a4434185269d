// Kubernetes label selectors to Calico's selector text (libcalico-go backend/k8s/conversion k8sSelectorToCalico).
// The text is what gets stored, so its spelling is Calico's: single quotes, `in { 'a', 'b' }`, `! has(x)`.

import type { LabelSelector, LabelSelectorRequirement } from '../model/kubernetes-types.ts';
import { ORCHESTRATOR_LABEL } from '../policy/label-names.ts';

/** Pods only: network sets and other orchestrators' endpoints are no Kubernetes peers. Undefined selects all pods. */
export function podSelectorText(selector: LabelSelector | null | undefined): string {
  return [`${ORCHESTRATOR_LABEL} == 'k8s'`, ...terms(selector)].join(' && ');
}

/** Empty for no selector, which means the policy's own namespace; `all()` for one without terms. */
export function namespaceSelectorText(selector: LabelSelector | null | undefined): string {
  if (selector === undefined || selector === null) return '';
  const all = terms(selector);
  return all.length === 0 ? 'all()' : all.join(' && ');
}

function terms(selector: LabelSelector | null | undefined): string[] {
  const labels = Object.entries(selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return [
    ...labels.map(([label, value]) => `${label} == '${value}'`),
    ...(selector?.matchExpressions ?? []).map(expressionText),
  ];
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
