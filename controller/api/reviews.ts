// `kubectl auth whoami|can-i`: reviews of the caller's own identity and rights; nothing is stored.

import type { Verb } from './api-kind.ts';
import { isAllowed, type User } from './identity.ts';

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
        status: rulesReview(user),
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

function rulesReview(user: User): Json {
  const all = user.groups.includes('system:masters');
  const verbs = all ? ['*'] : ['get', 'list', 'watch'];
  return {
    resourceRules: [{ verbs, apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/version', '/healthz', '/livez', '/readyz'] }],
    incomplete: !all,
  };
}
