// Policies of Kubernetes as they are stored for the hosts (docs/policy.md "Kubernetes policies").

import type { ClusterNetworkPolicy } from '../model/cluster-network-policy-types.ts';
import type { KubernetesNetworkPolicy } from '../model/kubernetes-types.ts';
import type { Resource } from '../model/metadata.ts';
import { CLUSTER_NETWORK_POLICY_SCHEMA } from '../model/validation/cluster-network-policy-schema.ts';
import { wholeObject } from '../model/validation/metadata.ts';
import { KUBERNETES_NETWORK_POLICY_SCHEMA } from '../model/validation/policy-schemas.ts';
import type { ObjectSchema } from '../model/validation/schema.ts';
import { convertClusterNetworkPolicy } from './cluster-network-policy.ts';
import { convertToStoredNetworkPolicy } from './network-policy.ts';
import type { ConversionProblem } from './policy-rules.ts';

export interface MirroredPolicy {
  /** Undefined where the whole of it is left out. */
  readonly policy: Resource | undefined;
  readonly problems: readonly ConversionProblem[];
}

interface MirroredKind {
  readonly schema: ObjectSchema;
  readonly convert: (object: Resource) => MirroredPolicy;
}

/** By version and kind. */
const KINDS: ReadonlyMap<string, MirroredKind> = new Map<string, MirroredKind>([
  [
    'networking.k8s.io/v1 NetworkPolicy',
    {
      schema: wholeObject(KUBERNETES_NETWORK_POLICY_SCHEMA),
      convert: (object) => convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy),
    },
  ],
  [
    'policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy',
    {
      schema: wholeObject(CLUSTER_NETWORK_POLICY_SCHEMA),
      convert: (object) => convertClusterNetworkPolicy(object as ClusterNetworkPolicy),
    },
  ],
]);

interface AnyObject {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}

function mirroredKind({ apiVersion, kind }: AnyObject): MirroredKind | undefined {
  return KINDS.get(`${String(apiVersion)} ${String(kind)}`);
}

export function isMirroredPolicy(object: AnyObject): boolean {
  return mirroredKind(object) !== undefined;
}

/** Schema of the whole object, which it must fit before it is converted; undefined for what is no policy of Kubernetes. */
export function mirroredSchema(object: AnyObject): ObjectSchema | undefined {
  return mirroredKind(object)?.schema;
}

/** Undefined for what is no policy of Kubernetes. */
export function mirroredPolicy(object: Resource): MirroredPolicy | undefined {
  return mirroredKind(object)?.convert(object);
}

/** What the hosts do without, in a sentence. */
export function leftOut({ kind, metadata }: Resource, { field, reason }: ConversionProblem): string {
  return `${kind} ${metadata.name}: ${field} is left out: ${reason}`;
}
