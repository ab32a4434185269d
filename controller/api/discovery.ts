// Discovery: which groups, kinds and verbs there are, plain and aggregated (docs/api.md "Discovery").

import type { ApiKind } from './api-kind.ts';
import { API_KINDS, apiGroups, apiVersionOf } from './registry.ts';

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
export const AGGREGATED_TYPE = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

interface Subresource {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly verbs: readonly string[];
}

/** Kinds that are only ever posted. */
const VIRTUAL = [
  { group: 'authentication.k8s.io', version: 'v1', kind: 'SelfSubjectReview', plural: 'selfsubjectreviews' },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectRulesReview',
    plural: 'selfsubjectrulesreviews',
  },
] as const;

function subresources(kind: ApiKind): Subresource[] {
  const own = { group: kind.group, version: kind.version };
  const list: Subresource[] = [];
  if (kind.hasStatus)
    list.push({ name: 'status', kind: kind.kind, ...own, verbs: ['get', 'patch', 'update'] });
  if (kind.group !== '' || kind.kind !== 'Pod') return list;
  return [
    ...list,
    { name: 'binding', kind: 'Binding', ...own, verbs: ['create'] },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'exec', kind: 'PodExecOptions', ...own, verbs: ['create', 'get'] },
    { name: 'log', kind: 'Pod', ...own, verbs: ['get'] },
  ];
}

interface Group {
  readonly group: string;
  readonly version: string;
}

function namedGroups(): Group[] {
  const calico = apiGroups().filter(({ group }) => group === 'projectcalico.org');
  const others = apiGroups().filter(({ group }) => group !== '' && group !== 'projectcalico.org');
  return [
    ...others,
    { group: 'authentication.k8s.io', version: 'v1' },
    { group: 'authorization.k8s.io', version: 'v1' },
    ...calico,
  ];
}

export function coreVersions(): object {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
}

export function groupList(): object {
  const groups = namedGroups().map(describeGroup);
  return { kind: 'APIGroupList', apiVersion: 'v1', groups };
}

function describeGroup({ group, version }: Group): object {
  const entry = { groupVersion: `${group}/${version}`, version };
  return { name: group, versions: [entry], preferredVersion: entry };
}

export function findGroup(group: string): object | undefined {
  const found = namedGroups().find((entry) => entry.group === group);
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(found) };
}

/** `APIResourceList` of a group version, or undefined if there is none. */
export function resourceList(group: string, version: string): object | undefined {
  const kinds = API_KINDS.filter((kind) => kind.group === group && kind.version === version);
  const virtual = VIRTUAL.filter((kind) => kind.group === group && kind.version === version);
  if (kinds.length === 0 && virtual.length === 0) return undefined;
  const resources = [
    ...kinds.flatMap((kind) => [
      plainResource(kind),
      ...subresources(kind).map((sub) => plainSubresource(kind, sub)),
    ]),
    ...virtual.map(({ kind, plural }) => ({
      name: plural,
      singularName: '',
      namespaced: false,
      kind,
      verbs: ['create'],
    })),
  ];
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources,
  };
}

function plainResource(kind: ApiKind): object {
  return {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: VERBS,
    ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
    ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
  };
}

function plainSubresource(kind: ApiKind, sub: Subresource): object {
  const other = sub.group === kind.group ? {} : { group: sub.group, version: sub.version };
  return {
    name: `${kind.plural}/${sub.name}`,
    singularName: '',
    namespaced: kind.namespaced,
    ...other,
    kind: sub.kind,
    verbs: sub.verbs,
  };
}

/** `APIGroupDiscoveryList` of the core group (`/api`) or of the named ones (`/apis`). */
export function aggregatedDiscovery(root: 'api' | 'apis'): object {
  const groups = root === 'api' ? [{ group: '', version: 'v1' }] : namedGroups();
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(({ group, version }) => ({
      metadata: group === '' ? {} : { name: group },
      versions: [{ version, freshness: 'Current', resources: aggregatedResources(group, version) }],
    })),
  };
}

function aggregatedResources(group: string, version: string): object[] {
  const kinds = API_KINDS.filter((kind) => kind.group === group && kind.version === version);
  const virtual = VIRTUAL.filter((kind) => kind.group === group && kind.version === version);
  return [
    ...kinds.map((kind) => ({
      resource: kind.plural,
      responseKind: { group, version, kind: kind.kind },
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      singularResource: kind.singular,
      verbs: VERBS,
      shortNames: kind.shortNames,
      categories: kind.categories,
      subresources: subresources(kind).map((sub) => ({
        subresource: sub.name,
        responseKind: { group: sub.group, version: sub.version, kind: sub.kind },
        verbs: sub.verbs,
      })),
    })),
    ...virtual.map((kind) => ({
      resource: kind.plural,
      responseKind: { group, version, kind: kind.kind },
      scope: 'Cluster',
      singularResource: kind.kind.toLowerCase(),
      verbs: ['create'],
    })),
  ];
}

export function listKindOf(kind: ApiKind): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(kind), kind: `${kind.kind}List` };
}
