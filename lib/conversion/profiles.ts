// Kubernetes Namespace and ServiceAccount → Calico Profile (libcalico-go backend/k8s/conversion): what makes their labels
// visible on the pods' endpoints, and what allows everything where no policy applies.

import { CALICO_API_VERSION } from '../model/kinds.ts';
import type { Namespace, ServiceAccount } from '../model/kubernetes-types.ts';
import {
  NAME_LABEL,
  NAMESPACE_LABEL_PREFIX,
  NAMESPACE_PROFILE_PREFIX,
  SERVICE_ACCOUNT_LABEL_PREFIX,
  SERVICE_ACCOUNT_PROFILE_PREFIX,
} from '../model/label-names.ts';
import type { Profile } from '../model/policy-types.ts';
import { labelValue, qualifiedName } from '../model/validation/formats.ts';
import { storedName } from './stored-name.ts';

/** `kns.<namespace>` */
export function namespaceProfileName(namespace: string): string {
  return `${NAMESPACE_PROFILE_PREFIX}${namespace}`;
}

/** `ksa.<namespace>.<name>`, as far as a name may be that long. */
export function serviceAccountProfileName(namespace: string, name: string): string {
  return storedName(`${SERVICE_ACCOUNT_PROFILE_PREFIX}${namespace}.${name}`);
}

/** Labels of a namespace (or its name) that its pods' endpoints cannot have, each with the reason. */
export function unfitNamespaceLabels({ metadata }: Namespace): string[] {
  return unfitLabels(metadata.labels, metadata.name, NAMESPACE_LABEL_PREFIX);
}

/** The same of a service account. */
export function unfitServiceAccountLabels({ metadata }: ServiceAccount): string[] {
  return unfitLabels(metadata.labels, metadata.name, SERVICE_ACCOUNT_LABEL_PREFIX);
}

/** Allows everything, and hands on the namespace's labels with the prefix `pcns.`. */
export function convertNamespace(namespace: Namespace): Profile {
  const { name, labels } = namespace.metadata;
  return {
    kind: 'Profile',
    apiVersion: CALICO_API_VERSION,
    metadata: { name: namespaceProfileName(name) },
    spec: {
      ingress: [{ action: 'Allow' }],
      egress: [{ action: 'Allow' }],
      labelsToApply: prefixedLabels(labels, name, NAMESPACE_LABEL_PREFIX),
    },
  };
}

/** Has no rules; hands on the account's labels with the prefix `pcsa.`. */
export function convertServiceAccount(account: ServiceAccount): Profile {
  const { name, namespace, labels } = account.metadata;
  return {
    kind: 'Profile',
    apiVersion: CALICO_API_VERSION,
    metadata: { name: serviceAccountProfileName(namespace ?? 'default', name) },
    spec: { labelsToApply: prefixedLabels(labels, name, SERVICE_ACCOUNT_LABEL_PREFIX) },
  };
}

/** The name comes last: a label of that name cannot forge it. What no label can be is left out. */
function prefixedLabels(
  labels: Readonly<Record<string, string>> | undefined,
  name: string,
  prefix: string,
): Record<string, string> {
  const all: [string, string][] = [...Object.entries(labels ?? {}), [NAME_LABEL, name]];
  return Object.fromEntries(
    all
      .filter(([label, value]) => labelProblem(`${prefix}${label}`, value) === undefined)
      .map(([label, value]) => [`${prefix}${label}`, value]),
  );
}

function unfitLabels(
  labels: Readonly<Record<string, string>> | undefined,
  name: string,
  prefix: string,
): string[] {
  return Object.entries({ ...labels, [NAME_LABEL]: name }).flatMap(([label, value]) => {
    const problem = labelProblem(`${prefix}${label}`, value);
    return problem === undefined ? [] : [problem];
  });
}

function labelProblem(label: string, value: string): string | undefined {
  const [badKey, badValue] = [qualifiedName(label), labelValue(value)];
  if (badKey !== undefined) return `label ${JSON.stringify(label)}: ${badKey}`;
  return badValue === undefined
    ? undefined
    : `label ${JSON.stringify(label)}: value ${JSON.stringify(value)}: ${badValue}`;
}
