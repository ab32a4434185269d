// What Calico's client does for single kinds beyond the generic (libcalico-go/lib/clientv3/<kind>.go): the profile that is
// never stored, tiers and their policies, fields that may not change, the first node.

import type { ResourceKey } from '../model/keys.ts';
import { CALICO_API_VERSION, isTieredPolicyKind, TIERED_POLICY_KINDS } from '../model/kinds.ts';
import type { Resource } from '../model/metadata.ts';
import type { Profile } from '../model/policy-types.ts';
import { BUILT_IN_TIERS } from '../model/validation/policy-schemas.ts';
import { ensureInitialized } from './initialize.ts';
import type { ResourceAccess } from './resource-access.ts';
import { ResourceError } from './resource-error.ts';
import { tierOf } from './stored-form.ts';

/** Allows everything; exists always, and only in what is read. */
export const DEFAULT_ALLOW_PROFILE: Profile = {
  apiVersion: CALICO_API_VERSION,
  kind: 'Profile',
  metadata: { name: 'projectcalico-default-allow', resourceVersion: '1' },
  spec: { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] },
};

export function isDefaultAllowProfile(ref: ResourceKey): boolean {
  return ref.kind === 'Profile' && ref.name === DEFAULT_ALLOW_PROFILE.metadata.name;
}

/** Whether an update has to be compared with what is stored. */
export function hasImmutableFields(kind: string): boolean {
  return kind === 'IPPool';
}

/** What must be there before an object of the kind. */
export async function beforeCreate(
  access: ResourceAccess,
  resource: Resource,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (isTieredPolicyKind(resource.kind)) {
    await access.get({ kind: 'Tier', name: tierOf(resource) }, signal);
  }
  if (resource.kind === 'Node') await ensureInitialized(access, {}, signal);
}

/** Throws `operationNotSupported` for tiers that are built in or still hold policies. */
export async function beforeDelete(
  access: ResourceAccess,
  ref: ResourceKey,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (ref.kind !== 'Tier') return;
  if (Object.hasOwn(BUILT_IN_TIERS, ref.name)) {
    throw new ResourceError({
      code: 'operationNotSupported',
      ref,
      reason: 'a built-in tier cannot be deleted',
    });
  }
  for (const kind of TIERED_POLICY_KINDS) {
    const { items } = await access.list(kind, signal === undefined ? {} : { signal });
    const held = items.find((policy) => tierOf(policy) === ref.name);
    if (held === undefined) continue;
    const reason = `a tier that is not empty cannot be deleted: it holds ${kind} ${held.metadata.name}`;
    throw new ResourceError({ code: 'operationNotSupported', ref, reason });
  }
}
