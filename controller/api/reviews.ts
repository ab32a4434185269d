// `kubectl auth whoami|can-i`: reviews of the caller's own identity and rights; nothing is stored.

import type { ApiKind, Verb } from './api-kind.ts';
import { type Attributes, isAllowed, ownNodeName, type User } from './identity.ts';
import { API_KINDS } from './registry.ts';

type Json = Record<string, unknown>;

export function reviewSelf(kind: string, body: Json, user: User): Json | undefined {
  const base = { kind, metadata: { creationTimestamp: null } };
  switch (kind) {
    case 'SelfSubjectReview':
      return {
        ...base,
        apiVersion: 'authentication.k8s.io/v1',
        status: { userInfo: { username: user.name, groups: user.groups } },
      };
    case 'SelfSubjectAccessReview':
      return {
        ...base,
        apiVersion: 'authorization.k8s.io/v1',
        spec: body['spec'] ?? {},
        status: accessReview(body, user),
      };
    case 'SelfSubjectRulesReview':
      return {
        ...base,
        apiVersion: 'authorization.k8s.io/v1',
        spec: body['spec'] ?? {},
        status: rulesReview(user, (body['spec'] as Json | undefined)?.['namespace']),
      };
    default:
      return undefined;
  }
}

function accessReview(body: Json, user: User): Json {
  const spec = (body['spec'] ?? {}) as {
    resourceAttributes?: Record<string, string>;
    nonResourceAttributes?: object;
  };
  const attributes = spec.resourceAttributes;
  if (attributes === undefined) return { allowed: user.groups.includes('system:masters') };
  const allowed = isAllowed(user, {
    verb: (attributes['verb'] ?? '') as Verb,
    group: attributes['group'] ?? '',
    resource: attributes['resource'] ?? '',
    subresource: attributes['subresource'] === '' ? undefined : attributes['subresource'],
    namespace: attributes['namespace'],
    name: attributes['name'],
  });
  return { allowed };
}

const VERBS: readonly Attributes['verb'][] = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
];
const SUBRESOURCES: Readonly<Record<string, readonly string[]>> = {
  pods: ['binding', 'eviction', 'exec', 'log'],
};
/** Of which a node has one, by its own name. */
const OWN: readonly string[] = ['nodes', 'leases'];

interface ResourceRule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
}

function rulesReview(user: User, namespace: unknown): Json {
  const nonResourceRules = [
    { verbs: ['get'], nonResourceURLs: ['/version', '/healthz', '/livez', '/readyz'] },
  ];
  const resourceRules = user.groups.includes('system:masters')
    ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]
    : API_KINDS.flatMap((kind) => rulesOfKind(user, kind, typeof namespace === 'string' ? namespace : ''));
  return { resourceRules, nonResourceRules, incomplete: false };
}

/** What isAllowed answers; a node with a certificate of its own writes its own Node and Lease only. */
function rulesOfKind(user: User, kind: ApiKind, namespace: string): ResourceRule[] {
  const { group, plural, hasStatus, namespaced } = kind;
  const own = ownNodeName(user);
  const scope = namespaced && namespace !== '' ? namespace : undefined;
  const rule = (subresource: string | undefined): ResourceRule[] => {
    const base = { group, resource: plural, subresource, namespace: scope, name: own };
    const verbs = VERBS.filter((verb) => isAllowed(user, { verb, ...base }));
    if (verbs.length === 0) return [];
    const resources = [subresource === undefined ? plural : `${plural}/${subresource}`];
    const isNamed = own !== undefined && OWN.includes(plural) && verbs.includes('update');
    return [{ verbs, apiGroups: [group], resources, ...(isNamed ? { resourceNames: [own] } : {}) }];
  };
  const subresources = [...(hasStatus ? ['status'] : []), ...(SUBRESOURCES[plural] ?? [])];
  return [undefined, ...subresources].flatMap(rule);
}
