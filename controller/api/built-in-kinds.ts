// The Kubernetes kinds that the API serves itself, kept in etcd under /registry (docs/api.md "Objects").

import { unfitNamespaceLabels, unfitServiceAccountLabels } from '../../lib/conversion/profiles.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Namespace, ServiceAccount } from '../../lib/model/kubernetes-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';
import type { ApiKind, Column, KindRules } from './api-kind.ts';
import {
  configMapColumns,
  eventColumns,
  leaseColumns,
  namespaceColumns,
  networkPolicyColumns,
  nodeColumns,
  podColumns,
  secretColumns,
  serviceAccountColumns,
} from './columns.ts';
import { forbiddenValue, validateMetadata } from './names.ts';
import { defaultNetworkPolicy, validateNetworkPolicy } from './network-policy-kind.ts';
import { defaultPod, validatePod } from './pod-kind.ts';
import { unknownSchemaFields } from './schema/schema.ts';
import { defaultSecret, validateSecret } from './secret-kind.ts';
import { endpointSliceColumns, serviceColumns } from './service-columns.ts';
import { defaultService, SERVICE_RULES, validateEndpointSlice, validateService } from './service-kind.ts';

/** Events are forgotten after an hour, as upstream's are. */
const EVENT_TTL_SECONDS = 3600;

interface BuiltIn {
  readonly group: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly plural?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly hasStatus?: boolean;
  readonly selectableFields?: readonly string[];
  readonly columns: readonly Column[];
  readonly schema: string;
  readonly nameShape?: 'label' | 'subdomain';
  readonly withDefaults?: (object: Resource) => Resource;
  readonly validate?: (object: Resource, previous: Resource | undefined) => StatusCause[];
  readonly ttlSeconds?: number;
  readonly rules?: KindRules;
}

function builtIn(row: BuiltIn): ApiKind {
  const singular = row.kind.toLowerCase();
  const plural = row.plural ?? `${singular}s`;
  return {
    group: row.group,
    version: 'v1',
    kind: row.kind,
    plural,
    singular,
    namespaced: row.namespaced,
    shortNames: row.shortNames ?? [],
    categories: row.categories ?? [],
    hasStatus: row.hasStatus ?? false,
    selectableFields: row.selectableFields ?? [],
    prefix: `/registry/${plural}/`,
    columns: row.columns,
    schema: row.schema,
    withDefaults: row.withDefaults ?? ((object) => object),
    validate: (object, previous) => [
      ...validateMetadata(object, row.nameShape ?? 'subdomain'),
      ...(row.validate?.(object, previous) ?? []),
    ],
    unknownFields: (object) => unknownSchemaFields(object, row.schema),
    toStored: (object) => object,
    fromStored: (object) => object,
    ...(row.ttlSeconds === undefined ? {} : { ttlSeconds: row.ttlSeconds }),
    ...(row.rules === undefined ? {} : { rules: row.rules }),
  };
}

function defaultNamespace(object: Resource): Resource {
  const { metadata } = object;
  const labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name };
  const spec = (object.spec ?? { finalizers: ['kubernetes'] }) as object;
  const status = (object.status ?? { phase: 'Active' }) as object;
  return { ...object, metadata: { ...metadata, labels }, spec, status };
}

/**
 * Policies could not select by a label that is too long once it stands for its holder on the pods' endpoints. Labels that
 * are already there stay: an object that somebody must be able to empty or mend.
 */
function unselectable(
  unfit: (object: Resource) => readonly string[],
): (object: Resource, previous: Resource | undefined) => StatusCause[] {
  return (object, previous) => {
    if (previous !== undefined && isSameJson(object.metadata.labels ?? {}, previous.metadata.labels ?? {}))
      return [];
    return unfit(object).map((problem) =>
      forbiddenValue('metadata', `pods cannot have it on their endpoints: ${problem}`),
    );
  };
}

const EVENT_FIELDS = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
    (field) => `involvedObject.${field}`,
  ),
  'reason',
  'type',
  'source',
  'reportingComponent',
];

/** Core first: the order of groups is their priority. */
export function builtInKinds(): ApiKind[] {
  return [
    builtIn({
      group: '',
      kind: 'Namespace',
      namespaced: false,
      shortNames: ['ns'],
      hasStatus: true,
      selectableFields: ['status.phase'],
      columns: namespaceColumns,
      schema: 'api.core.v1.Namespace',
      nameShape: 'label',
      withDefaults: defaultNamespace,
      validate: unselectable((object) => unfitNamespaceLabels(object as Namespace)),
    }),
    builtIn({
      group: '',
      kind: 'Node',
      namespaced: false,
      shortNames: ['no'],
      hasStatus: true,
      selectableFields: ['spec.unschedulable'],
      columns: nodeColumns,
      schema: 'api.core.v1.Node',
    }),
    builtIn({
      group: '',
      kind: 'Pod',
      namespaced: true,
      shortNames: ['po'],
      categories: ['all'],
      hasStatus: true,
      selectableFields: [
        'spec.nodeName',
        'status.phase',
        'status.podIP',
        'spec.restartPolicy',
        'spec.serviceAccountName',
      ],
      columns: podColumns,
      schema: 'api.core.v1.Pod',
      withDefaults: defaultPod,
      validate: validatePod,
    }),
    builtIn({
      group: '',
      kind: 'ServiceAccount',
      namespaced: true,
      shortNames: ['sa'],
      columns: serviceAccountColumns,
      schema: 'api.core.v1.ServiceAccount',
      validate: unselectable((object) => unfitServiceAccountLabels(object as ServiceAccount)),
    }),
    builtIn({
      group: '',
      kind: 'ConfigMap',
      namespaced: true,
      shortNames: ['cm'],
      columns: configMapColumns,
      schema: 'api.core.v1.ConfigMap',
    }),
    builtIn({
      group: '',
      kind: 'Secret',
      namespaced: true,
      selectableFields: ['type'],
      columns: secretColumns,
      schema: 'api.core.v1.Secret',
      withDefaults: defaultSecret,
      validate: validateSecret,
    }),
    builtIn({
      group: '',
      kind: 'Service',
      namespaced: true,
      shortNames: ['svc'],
      categories: ['all'],
      hasStatus: true,
      selectableFields: ['spec.clusterIP', 'spec.type'],
      columns: serviceColumns,
      schema: 'api.core.v1.Service',
      withDefaults: defaultService,
      validate: validateService,
      rules: SERVICE_RULES,
    }),
    builtIn({
      group: '',
      kind: 'Event',
      namespaced: true,
      shortNames: ['ev'],
      selectableFields: EVENT_FIELDS,
      columns: eventColumns,
      schema: 'api.core.v1.Event',
      ttlSeconds: EVENT_TTL_SECONDS,
    }),
    builtIn({
      group: 'networking.k8s.io',
      kind: 'NetworkPolicy',
      plural: 'networkpolicies',
      namespaced: true,
      shortNames: ['netpol'],
      columns: networkPolicyColumns,
      schema: 'api.networking.v1.NetworkPolicy',
      withDefaults: defaultNetworkPolicy,
      validate: validateNetworkPolicy,
    }),
    builtIn({
      group: 'discovery.k8s.io',
      kind: 'EndpointSlice',
      namespaced: true,
      columns: endpointSliceColumns,
      schema: 'api.discovery.v1.EndpointSlice',
      validate: validateEndpointSlice,
    }),
    builtIn({
      group: 'coordination.k8s.io',
      kind: 'Lease',
      namespaced: true,
      columns: leaseColumns,
      schema: 'api.coordination.v1.Lease',
    }),
  ];
}
