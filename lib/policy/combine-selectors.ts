// The several selector fields of a policy and of a rule's side made into one selector each, exactly as Calico's syncer
// does (libcalico-go syncersv1/updateprocessors rules.go and the policy processors; docs/policy.md "Combining selectors").

import {
  NAMESPACE_LABEL,
  NAMESPACE_LABEL_PREFIX,
  SERVICE_ACCOUNT_LABEL,
  SERVICE_ACCOUNT_LABEL_PREFIX,
} from '../model/label-names.ts';
import type { EntityRule, PolicySpecCommon } from '../model/policy-types.ts';
import { parseSelector } from '../selector/parser.ts';
import {
  bothSelectors,
  hasLabel,
  labelEquals,
  labelIn,
  notSelector,
  prefixLabels,
  replaceAll,
  replaceGlobal,
} from '../selector/rewrite.ts';
import type { Selector } from '../selector/selector.ts';
import { SelectorError } from '../selector/selector-error.ts';
import { PolicyError } from './policy-error.ts';

/** What a side of a rule demands of an endpoint's labels; at most one of each, undefined where nothing is demanded. */
export interface EntitySelectors {
  readonly positive: Selector | undefined;
  readonly negative: Selector | undefined;
}

/** The endpoints that a NetworkPolicy of the namespace governs. */
export function namespacedPolicySelector(spec: PolicySpecCommon, namespace: string): Selector {
  const own = bothSelectors(
    parseField(spec.selector, 'spec.selector'),
    labelEquals(NAMESPACE_LABEL, namespace),
  );
  return bothSelectors(own, serviceAccountPart(spec.serviceAccountSelector, 'spec.serviceAccountSelector'));
}

/** The endpoints that a GlobalNetworkPolicy governs. */
export function globalPolicySelector(spec: PolicySpecCommon & { namespaceSelector?: string }): Selector {
  let selector = parseField(spec.selector, 'spec.selector');
  const namespaces = parseField(spec.namespaceSelector, 'spec.namespaceSelector');
  if (namespaces !== undefined) {
    const both = bothSelectors(selector, prefixLabels(namespaces, NAMESPACE_LABEL_PREFIX));
    // Calico does so in the combined text: an `all()` of the policy's own selector is narrowed too.
    selector = replaceAll(both, hasLabel(NAMESPACE_LABEL));
  }
  const accounts = serviceAccountPart(spec.serviceAccountSelector, 'spec.serviceAccountSelector');
  if (accounts !== undefined) {
    selector = replaceAll(bothSelectors(selector, accounts), hasLabel(SERVICE_ACCOUNT_LABEL));
  }
  return selector ?? parseSelector('');
}

/**
 * One side of a rule. `namespace` is the policy's, undefined for global ones and profiles. An empty side of a
 * namespaced policy matches anything; as soon as any selector is used it is limited to a namespace.
 */
export function ruleSelectors(
  entity: EntityRule,
  namespace: string | undefined,
  field: string,
): EntitySelectors {
  const accounts = serviceAccountMatch(entity.serviceAccounts, field);
  const own = parseField(entity.selector, `${field}.selector`);
  const endpoints = bothSelectors(accounts, own);
  const negative = parseField(entity.notSelector, `${field}.notSelector`);
  const selectsNamespaces = isGiven(entity.namespaceSelector);
  const namespaces = selectsNamespaces
    ? namespacePart(entity.namespaceSelector, field)
    : namespace === undefined
      ? undefined
      : labelEquals(NAMESPACE_LABEL, namespace);
  const isLimited = endpoints !== undefined || negative !== undefined || selectsNamespaces;
  const positive = isLimited ? bothSelectors(namespaces, endpoints) : endpoints;
  if (positive === undefined || negative === undefined) return { positive, negative };
  return { positive: bothSelectors(positive, notSelector(negative)), negative: undefined };
}

function namespacePart(text: string | undefined, field: string): Selector | undefined {
  const selector = parseField(text, `${field}.namespaceSelector`);
  if (selector === undefined) return undefined;
  const prefixed = prefixLabels(selector, NAMESPACE_LABEL_PREFIX);
  const hasNamespace = hasLabel(NAMESPACE_LABEL);
  return replaceGlobal(replaceAll(prefixed, hasNamespace), notSelector(hasNamespace));
}

function serviceAccountMatch(accounts: EntityRule['serviceAccounts'], field: string): Selector | undefined {
  const selected = serviceAccountPart(accounts?.selector, `${field}.serviceAccounts.selector`);
  const names = accounts?.names ?? [];
  const named = names.length === 0 ? undefined : labelIn(SERVICE_ACCOUNT_LABEL, names);
  return bothSelectors(selected, named);
}

function serviceAccountPart(text: string | undefined, field: string): Selector | undefined {
  const selector = parseField(text, field);
  return selector === undefined ? undefined : prefixLabels(selector, SERVICE_ACCOUNT_LABEL_PREFIX);
}

/** Null where a manifest says so, though the type does not. */
function isGiven(text: string | null | undefined): text is string {
  return text !== undefined && text !== null && text !== '';
}

function parseField(text: string | undefined, field: string): Selector | undefined {
  if (!isGiven(text)) return undefined;
  try {
    return parseSelector(text);
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    throw new PolicyError(
      { code: 'badSelector', field, selector: text, reason: error.message },
      { cause: error },
    );
  }
}
