// Calico's v3 kinds in the API: served from their own keys under /calico, by the rules of the model.

import { fromStoredResource, toStoredResource } from '../../lib/datastore/stored-form.ts';
import { listPrefix } from '../../lib/model/keys.ts';
import {
  CALICO_API_VERSION,
  CALICO_GROUP,
  CALICO_KINDS,
  type KindInfo,
  kindInfo,
} from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { applyDefaults } from '../../lib/model/validation/defaults.ts';
import { kubernetesCauseReason, type Problem } from '../../lib/model/validation/problem.ts';
import { unknownFields } from '../../lib/model/validation/unknown-fields.ts';
import { validateResource, validateUpdate } from '../../lib/model/validation/validate.ts';
import type { StatusCause } from './api-error.ts';
import type { ApiKind, Column } from './api-kind.ts';
import { mirrorCauses, rulesOf } from './calico-rules.ts';
import { ageColumn, column, nameColumn } from './columns.ts';

const tierColumns = [column('Tier', 'spec.tier'), column('Order', 'spec.order')];
const bgpPeerColumns = [
  column('Node Selector', 'spec.nodeSelector'),
  column('Node', 'spec.node'),
  column('Local ASN', 'spec.localASNumber'),
  column('Peer Selector', 'spec.peerSelector'),
  column('Peer IP', 'spec.peerIP'),
  column('Peer ASN', 'spec.asNumber'),
];
/** Behind Name; kinds that are not here show their age alone. */
const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  NetworkPolicy: tierColumns,
  GlobalNetworkPolicy: [...tierColumns, ageColumn],
  StagedNetworkPolicy: tierColumns,
  StagedGlobalNetworkPolicy: tierColumns,
  Tier: [column('Order', 'spec.order'), column('DefaultAction', 'spec.defaultAction')],
  IPPool: [
    column('CIDR', 'spec.cidr'),
    column('VXLAN', 'spec.vxlanMode'),
    column('IPIP', 'spec.ipipMode'),
    column('NAT', 'spec.natOutgoing'),
    ageColumn,
  ],
  BlockAffinity: [column('CIDR', 'spec.cidr'), column('Node', 'spec.node'), column('Type', 'spec.type')],
  HostEndpoint: [column('Node', 'spec.node'), column('Interface', 'spec.interfaceName')],
  BGPPeer: bgpPeerColumns,
  IPAMConfiguration: [
    column('StrictAffinity', 'spec.strictAffinity'),
    column('MaxBlocksPerHost', 'spec.maxBlocksPerHost'),
    column('AutoAllocateBlocks', 'spec.autoAllocateBlocks'),
  ],
  ClusterInformation: [column('Version', 'spec.calicoVersion'), column('Ready', 'spec.datastoreReady')],
  CalicoNodeStatus: [column('Node', 'spec.node'), column('Classes', 'spec.classes')],
};

function calicoKind(info: KindInfo): ApiKind {
  const isTiered = info.kind.endsWith('NetworkPolicy') && info.kind !== 'StagedKubernetesNetworkPolicy';
  return {
    group: CALICO_GROUP,
    version: 'v3',
    kind: info.kind,
    plural: info.plural,
    singular: info.singular,
    namespaced: info.namespaced,
    shortNames: info.shortNames,
    categories: [],
    hasStatus: info.hasStatus,
    selectableFields: isTiered ? ['spec.tier'] : [],
    prefix: listPrefix(info.kind),
    columns: [nameColumn, ...(COLUMNS[info.kind] ?? [ageColumn])],
    schema: undefined,
    withDefaults: applyDefaults,
    validate: (object, previous) => [
      ...[
        ...validateResource(object),
        ...(previous === undefined ? [] : validateUpdate(previous, object)),
      ].map(problemCause),
      ...mirrorCauses(object),
    ],
    unknownFields,
    toStored: toStoredResource,
    fromStored: fromStoredResource,
    rules: rulesOf(info),
  };
}

export function problemCause(problem: Problem): StatusCause {
  return { reason: kubernetesCauseReason(problem.rule), field: problem.path, message: problem.message };
}

/** BlockAffinity objects here are a view; live affinities are IPAM's own keys, so only reading makes sense of both. */
export function calicoKinds(): ApiKind[] {
  return CALICO_KINDS.filter((info) => info.kind !== 'Node' && info.kind !== 'LiveMigration').map(calicoKind);
}

/**
 * Calico's Nodes for calicoctl, by another name: `nodes` is Kubernetes'. Not in discovery, as no other client needs them.
 */
export function calicoNodeKind(): ApiKind {
  const row = calicoKind(kindInfo('Node'));
  const asNode = (object: Resource): Resource => ({
    ...object,
    apiVersion: CALICO_API_VERSION,
    kind: 'Node',
  });
  const asServed = (object: Resource): Resource => ({
    ...object,
    apiVersion: 'calico-ts.dev/v1',
    kind: 'CalicoNode',
  });
  return {
    ...row,
    group: 'calico-ts.dev',
    version: 'v1',
    kind: 'CalicoNode',
    plural: 'caliconodes',
    singular: 'caliconode',
    withDefaults: (object) => asServed(row.withDefaults(asNode(object))),
    validate: (object, previous) =>
      row.validate(asNode(object), previous === undefined ? undefined : asNode(previous)),
    unknownFields: (object) => row.unknownFields(asNode(object)),
    toStored: (object) => row.toStored(asNode(object)),
    fromStored: (object) => asServed(row.fromStored(object)),
  };
}
