// Kubernetes Namespace and ServiceAccount → Calico Profile (libcalico-go backend/k8s/conversion): what makes their labels
// visible on the pods' endpoints, and what allows everything where no policy applies.

import { CALICO_API_VERSION } from '../model/kinds.ts';
import type { Namespace, ServiceAccount } from '../model/kubernetes-types.ts';
import type { Profile } from '../model/policy-types.ts';
import {
  NAME_LABEL,
  NAMESPACE_LABEL_PREFIX,
  NAMESPACE_PROFILE_PREFIX,
  SERVICE_ACCOUNT_LABEL_PREFIX,
  SERVICE_ACCOUNT_PROFILE_PREFIX,
} from '../policy/label-names.ts';

/** `kns.<namespace>` */
export function namespaceProfileName(namespace: string): string {
  return `${NAMESPACE_PROFILE_PREFIX}${namespace}`;
}

/** `ksa.<namespace>.<name>` */
export function serviceAccountProfileName(namespace: string, name: string): string {
  return `${SERVICE_ACCOUNT_PROFILE_PREFIX}${namespace}.${name}`;
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

/** The name comes last: a label of that name cannot forge it. */
function prefixedLabels(
  labels: Readonly<Record<string, string>> | undefined,
  name: string,
  prefix: string,
): Record<string, string> {
  const entries = Object.entries(labels ?? {}).map(([label, value]) => [`${prefix}${label}`, value]);
  return { ...Object.fromEntries(entries), [`${prefix}${NAME_LABEL}`]: name };
}
