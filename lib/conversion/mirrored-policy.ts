// Policies of Kubernetes as they are stored for the hosts (docs/policy.md "Kubernetes policies").

import type { ClusterNetworkPolicy } from '../model/cluster-network-policy-types.ts';
import type { KubernetesNetworkPolicy } from '../model/kubernetes-types.ts';
import type { Resource } from '../model/metadata.ts';
import { convertClusterNetworkPolicy } from './cluster-network-policy.ts';
import { convertToStoredNetworkPolicy } from './network-policy.ts';
import type { ConversionProblem } from './policy-rules.ts';

export interface MirroredPolicy {
  /** Undefined where the whole of it is left out. */
  readonly policy: Resource | undefined;
  readonly problems: readonly ConversionProblem[];
}

type Conversion = (object: Resource) => MirroredPolicy;

/** By version and kind. */
const CONVERSIONS: ReadonlyMap<string, Conversion> = new Map<string, Conversion>([
  [
    'networking.k8s.io/v1 NetworkPolicy',
    (object) => convertToStoredNetworkPolicy(object as KubernetesNetworkPolicy),
  ],
  [
    'policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy',
    (object) => convertClusterNetworkPolicy(object as ClusterNetworkPolicy),
  ],
]);

/** Of an object that may be anything. */
export function isMirroredPolicy({ apiVersion, kind }: Readonly<Record<string, unknown>>): boolean {
  return CONVERSIONS.has(`${String(apiVersion)} ${String(kind)}`);
}

/** Undefined for what is no policy of Kubernetes. */
export function mirroredPolicy(object: Resource): MirroredPolicy | undefined {
  return CONVERSIONS.get(`${object.apiVersion} ${object.kind}`)?.(object);
}

/** What the hosts do without, in a sentence. */
export function leftOut({ kind, metadata }: Resource, { field, reason }: ConversionProblem): string {
  return `${kind} ${metadata.name}: ${field} is left out: ${reason}`;
}
