// Policies of Kubernetes as they are stored for the hosts (docs/policy.md "Kubernetes policies").

import type { ClusterNetworkPolicy } from '../model/cluster-network-policy-types.ts';
import type { ResourceKey } from '../model/keys.ts';
import type { KubernetesNetworkPolicy } from '../model/kubernetes-types.ts';
import type { Resource } from '../model/metadata.ts';
import { CLUSTER_NETWORK_POLICY_SCHEMA } from '../model/validation/cluster-network-policy-schema.ts';
import { KUBERNETES_NETWORK_POLICY_SCHEMA } from '../model/validation/policy-schemas.ts';
import type { ObjectSchema } from '../model/validation/schema.ts';
import { convertClusterNetworkPolicy, storedClusterPolicyName } from './cluster-network-policy.ts';
import { convertToStoredNetworkPolicy, storedPolicyName } from './network-policy.ts';
import type { ConversionProblem } from './policy-rules.ts';

export interface MirroredPolicy {
  /** Undefined where the whole of it is left out. */
  readonly policy: Resource | undefined;
  readonly problems: readonly ConversionProblem[];
}

export interface MirroredKind {
  /** Of `spec` and `status`, which they must fit before the object is converted. */
  readonly schema: ObjectSchema;
  /** Where it is stored. */
  readonly refOf: (object: Resource) => ResourceKey;
  readonly convert: (object: Resource) => MirroredPolicy;
}

/** By version and kind. */
const KINDS: ReadonlyMap<string, MirroredKind> = new Map<string, MirroredKind>([
  [
    'networking.k8s.io/v1 NetworkPolicy',
    {
      schema: KUBERNETES_NETWORK_POLICY_SCHEMA,
      refOf: ({ metadata: { name, namespace = 'default' } }) => ({
        kind: 'NetworkPolicy',
        namespace,
        name: storedPolicyName(name),
      }),
      convert: (object) => convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy),
    },
  ],
  [
    'policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy',
    {
      schema: CLUSTER_NETWORK_POLICY_SCHEMA,
      refOf: ({ metadata: { name } }) => ({
        kind: 'GlobalNetworkPolicy',
        name: storedClusterPolicyName(name),
      }),
      convert: (object) => convertClusterNetworkPolicy(object as ClusterNetworkPolicy),
    },
  ],
]);

/** Of an object that may be anything; undefined for what is no policy of Kubernetes. */
export function mirroredKind(object: {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}): MirroredKind | undefined {
  return KINDS.get(`${String(object.apiVersion)} ${String(object.kind)}`);
}

/** Undefined for what is no policy of Kubernetes. */
export function mirroredPolicy(object: Resource): MirroredPolicy | undefined {
  return mirroredKind(object)?.convert(object);
}

/** What the hosts do without, in a sentence. */
export function leftOut({ kind, metadata }: Resource, { field, reason }: ConversionProblem): string {
  return `${kind} ${metadata.name}: ${field} is left out: ${reason}`;
}
