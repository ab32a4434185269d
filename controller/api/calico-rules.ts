// Rules of Calico's kinds that reach beyond the object (lib/datastore/kind-rules.ts has those that hold on every path), and
// what the kubernetes plugin owns: a policy mirrored from a NetworkPolicy is changed there.

import { STORED_POLICY_PREFIX } from '../../lib/conversion/network-policy.ts';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import { beforeCreate, beforeDelete, DEFAULT_ALLOW_PROFILE } from '../../lib/datastore/kind-rules.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { beforeDeletion } from '../../lib/ipam/before-deletion.ts';
import type { KindInfo } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, type StatusCause } from './api-error.ts';
import type { KindRules } from './api-kind.ts';
import { forbiddenValue } from './names.ts';

/** Longest time that removing what goes with an object may take. */
const REMOVAL_MS = 30_000;

export function rulesOf(info: KindInfo): KindRules {
  return {
    builtIn: info.kind === 'Profile' ? [DEFAULT_ALLOW_PROFILE] : [],
    beforeCreate: (datastore, object) =>
      beforeCreate(new ResourceClient({ datastore }), { ...object, kind: info.kind }, undefined),
    beforeDelete: async (datastore, object) => {
      const { name, namespace } = object.metadata;
      const ref = { kind: info.kind, name, ...(namespace === undefined ? {} : { namespace }) };
      await beforeDelete(new ResourceClient({ datastore }), ref, undefined);
      if (isMirrored(object)) await refuseWhileMirrored(datastore, object);
      const signal = AbortSignal.timeout(REMOVAL_MS);
      const last = await beforeDeletion(datastore, { ...object, kind: info.kind }, signal);
      return { ...last, apiVersion: object.apiVersion, kind: object.kind };
    },
  };
}

function isMirrored({ kind, metadata }: Resource): boolean {
  return kind === 'NetworkPolicy' && metadata.name.startsWith(STORED_POLICY_PREFIX);
}

/** Nobody but the plugin writes a mirrored policy; it does so past this API. */
export function mirrorCauses(object: Resource): StatusCause[] {
  if (!isMirrored(object)) return [];
  const source = object.metadata.name.slice(STORED_POLICY_PREFIX.length);
  return [
    forbiddenValue(
      'metadata.name',
      `names with ${STORED_POLICY_PREFIX} are those of mirrored policies: change networkpolicies.networking.k8s.io ${JSON.stringify(source)} instead`,
    ),
  ];
}

async function refuseWhileMirrored(datastore: Datastore, { metadata }: Resource): Promise<void> {
  const source = metadata.name.slice(STORED_POLICY_PREFIX.length);
  const { kv } = await datastore.get(`/registry/networkpolicies/${metadata.namespace ?? ''}/${source}`);
  if (kv === undefined) return;
  throw new ApiError(
    'Forbidden',
    `networkpolicies.projectcalico.org ${JSON.stringify(metadata.name)} mirrors networkpolicies.networking.k8s.io ${JSON.stringify(source)}: delete that one`,
  );
}
