// Rules of Calico's kinds that reach beyond the object (lib/datastore/kind-rules.ts has those that hold on every path), and
// what the kubernetes plugin owns: a policy mirrored from one of Kubernetes' is changed there.

import { STORED_CLUSTER_POLICY_PREFIX } from '../../lib/conversion/cluster-network-policy.ts';
import { STORED_POLICY_PREFIX } from '../../lib/conversion/network-policy.ts';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import { beforeCreate, beforeDelete, DEFAULT_ALLOW_PROFILE } from '../../lib/datastore/kind-rules.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { beforeDeletion } from '../../lib/ipam/before-deletion.ts';
import type { KindInfo } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError, type StatusCause } from './api-error.ts';
import { CLUSTER_POLICIES_PREFIX, type KindRules } from './api-kind.ts';
import { forbiddenValue } from './names.ts';

/** Longest time that removing what goes with an object may take. */
const REMOVAL_MS = 30_000;

export function rulesOf(info: KindInfo): KindRules {
  return {
    builtIn: info.kind === 'Profile' ? [DEFAULT_ALLOW_PROFILE] : [],
    beforeCreate: (datastore, object) =>
      beforeCreate(new ResourceClient({ datastore }), { ...object, kind: info.kind }, undefined),
    mayDelete: async (datastore, object) => {
      const { name, namespace } = object.metadata;
      const ref = { kind: info.kind, name, ...(namespace === undefined ? {} : { namespace }) };
      await beforeDelete(new ResourceClient({ datastore }), ref, undefined);
      const origin = originOf(object);
      if (origin !== undefined) await refuseWhileMirrored(datastore, info.plural, object, origin);
    },
    beforeDelete: async (datastore, object) => {
      const signal = AbortSignal.timeout(REMOVAL_MS);
      const last = await beforeDeletion(datastore, { ...object, kind: info.kind }, signal);
      return { ...last, apiVersion: object.apiVersion, kind: object.kind };
    },
  };
}

interface Origin {
  readonly prefix: string;
  /** Resource and group of what it mirrors. */
  readonly resource: string;
  readonly name: string;
  /** Where that is stored. */
  readonly key: string;
}

/** What a policy that is called like a mirrored one mirrors. */
function originOf({ kind, metadata }: Resource): Origin | undefined {
  const named = (prefix: string): string | undefined =>
    metadata.name.startsWith(prefix) ? metadata.name.slice(prefix.length) : undefined;
  if (kind === 'NetworkPolicy') {
    const name = named(STORED_POLICY_PREFIX);
    const key = `/registry/networkpolicies/${metadata.namespace ?? ''}/${name}`;
    const resource = 'networkpolicies.networking.k8s.io';
    return name === undefined ? undefined : { prefix: STORED_POLICY_PREFIX, resource, name, key };
  }
  const name = kind === 'GlobalNetworkPolicy' ? named(STORED_CLUSTER_POLICY_PREFIX) : undefined;
  const key = `${CLUSTER_POLICIES_PREFIX}${name}`;
  const resource = 'clusternetworkpolicies.policy.networking.k8s.io';
  return name === undefined ? undefined : { prefix: STORED_CLUSTER_POLICY_PREFIX, resource, name, key };
}

/** Nobody but the plugin writes a mirrored policy; it does so past this API. */
export function mirrorCauses(object: Resource): StatusCause[] {
  const origin = originOf(object);
  if (origin === undefined) return [];
  const { prefix, resource, name } = origin;
  return [
    forbiddenValue(
      'metadata.name',
      `names with ${prefix} are those of mirrored policies: change ${resource} ${JSON.stringify(name)} instead`,
    ),
  ];
}

async function refuseWhileMirrored(
  datastore: Datastore,
  plural: string,
  object: Resource,
  origin: Origin,
): Promise<void> {
  const { kv } = await datastore.get(origin.key);
  if (kv === undefined) return;
  throw new ApiError(
    'Forbidden',
    `${plural}.projectcalico.org ${JSON.stringify(object.metadata.name)} mirrors ${origin.resource} ${JSON.stringify(origin.name)}: delete that one`,
  );
}
