// Which policies staged ones of the same name stand for: with `Set` they would replace them, with `Delete` take them away. The
// calculation graph knows staged policies as policies beside the others, and deletions not at all, as Calico's does. Pure.

import { storedPolicyName } from '../../../lib/conversion/network-policy.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type PolicyKind, policyKey } from '../../../lib/policy/compiled.ts';

const ENFORCED_KIND: Readonly<Record<string, PolicyKind>> = {
  StagedNetworkPolicy: 'NetworkPolicy',
  StagedGlobalNetworkPolicy: 'GlobalNetworkPolicy',
  StagedKubernetesNetworkPolicy: 'NetworkPolicy',
};
const REPLACING_ACTIONS = [undefined, 'Set', 'Delete'];

export class StagedReplacements {
  /** By etcd key of the staged policy. */
  readonly #replaced = new Map<string, string>();

  /** Keys of enforced policies, there or not. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#replaced.values());
  }

  /** Whether that changed anything. */
  onResource(key: string, kind: string, resource: Resource | undefined): boolean {
    const enforcedKind = ENFORCED_KIND[kind];
    if (enforcedKind === undefined) return false;
    const before = this.#replaced.get(key);
    const now = resource === undefined ? undefined : replacedBy(resource, enforcedKind);
    if (now === undefined) this.#replaced.delete(key);
    else this.#replaced.set(key, now);
    return now !== before;
  }
}

function replacedBy({ kind, metadata, spec }: Resource, enforcedKind: PolicyKind): string | undefined {
  const { stagedAction } = (spec ?? {}) as { readonly stagedAction?: string };
  if (!REPLACING_ACTIONS.includes(stagedAction)) return undefined;
  const namespace = enforcedKind === 'GlobalNetworkPolicy' ? '' : (metadata.namespace ?? 'default');
  const name = kind === 'StagedKubernetesNetworkPolicy' ? storedPolicyName(metadata.name) : metadata.name;
  return policyKey({ kind: enforcedKind, namespace, name });
}
