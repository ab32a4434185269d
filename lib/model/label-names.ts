// Names of the labels that Calico gives to endpoints, and prefixes of those that they inherit from the profiles of
// their namespace and service account (libcalico-go conversion constants).

export const NAMESPACE_LABEL = 'projectcalico.org/namespace';
export const ORCHESTRATOR_LABEL = 'projectcalico.org/orchestrator';
export const SERVICE_ACCOUNT_LABEL = 'projectcalico.org/serviceaccount';
/** Under a prefix below: the name of the namespace or service account itself. */
export const NAME_LABEL = 'projectcalico.org/name';
/** Before the labels of an endpoint's namespace. */
export const NAMESPACE_LABEL_PREFIX = 'pcns.';
/** Before the labels of an endpoint's service account. */
export const SERVICE_ACCOUNT_LABEL_PREFIX = 'pcsa.';
/** Profile of a namespace: `kns.<namespace>`. */
export const NAMESPACE_PROFILE_PREFIX = 'kns.';
/** Profile of a service account: `ksa.<namespace>.<name>`. */
export const SERVICE_ACCOUNT_PROFILE_PREFIX = 'ksa.';
