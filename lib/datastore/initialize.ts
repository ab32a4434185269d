// What every Calico datastore holds from the start (libcalico-go clientv3/client.go EnsureInitialized): the cluster's
// identity and the three built-in tiers. Idempotent; run at a node's start-up and before any Node is created.

import { randomUUID } from 'node:crypto';
import { waitFor } from '../lifecycle/backoff.ts';
import type { ClusterInformation } from '../model/endpoint-types.ts';
import { CALICO_API_VERSION } from '../model/kinds.ts';
import type { Tier } from '../model/policy-types.ts';
import { BUILT_IN_TIERS } from '../model/validation/policy-schemas.ts';
import type { ResourceAccess } from './resource-access.ts';
import { isResourceError } from './resource-error.ts';

export interface Initialization {
  /** Written if given. */
  readonly calicoVersion?: string;
  /** Comma-separated; those that are missing are appended. */
  readonly clusterType?: string;
}

const ATTEMPTS = 5;
const RETRY_MS = 1_000;

/** Creates what is missing and leaves an explicit `datastoreReady: false` alone. Throws as the client does. */
export async function ensureInitialized(
  access: ResourceAccess,
  wanted: Initialization,
  signal?: AbortSignal,
): Promise<void> {
  await ensureClusterInformation(access, wanted, signal);
  for (const [name, spec] of Object.entries(BUILT_IN_TIERS)) {
    const tier: Tier = { apiVersion: CALICO_API_VERSION, kind: 'Tier', metadata: { name }, spec };
    try {
      await access.create(tier, signal);
    } catch (error) {
      if (!isResourceError(error, 'alreadyExists')) throw error;
    }
  }
}

async function ensureClusterInformation(
  access: ResourceAccess,
  wanted: Initialization,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await writeClusterInformation(access, wanted, signal);
      return;
    } catch (error) {
      const isRace = isResourceError(error, 'conflict') || isResourceError(error, 'alreadyExists');
      if (!isRace || attempt === ATTEMPTS) throw error;
      if (!(await waitFor(RETRY_MS, signal))) throw error;
    }
  }
}

async function writeClusterInformation(
  access: ResourceAccess,
  wanted: Initialization,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ref = { kind: 'ClusterInformation', name: 'default' };
  let current: ClusterInformation;
  try {
    current = await access.get<ClusterInformation>(ref, signal);
  } catch (error) {
    if (!isResourceError(error, 'doesNotExist')) throw error;
    const created: ClusterInformation = {
      apiVersion: CALICO_API_VERSION,
      kind: 'ClusterInformation',
      metadata: { name: 'default' },
      spec: { ...initialSpec(), ...wanted },
    };
    await access.create(created, signal);
    return;
  }
  const held = current.spec ?? {};
  const clusterType = mergeClusterTypes(held.clusterType, wanted.clusterType);
  const spec = {
    ...initialSpec(),
    ...held,
    ...(wanted.calicoVersion === undefined ? {} : { calicoVersion: wanted.calicoVersion }),
    ...(clusterType === '' ? {} : { clusterType }),
  };
  const isSame =
    held.clusterGUID === spec.clusterGUID &&
    held.datastoreReady === spec.datastoreReady &&
    held.calicoVersion === spec.calicoVersion &&
    held.clusterType === spec.clusterType;
  if (!isSame) await access.update({ ...current, spec }, signal);
}

function initialSpec(): NonNullable<ClusterInformation['spec']> {
  return { clusterGUID: randomUUID().replaceAll('-', ''), datastoreReady: true };
}

function mergeClusterTypes(held: string | undefined, wanted: string | undefined): string {
  const types = [...(held ?? '').split(','), ...(wanted ?? '').split(',')].filter((type) => type !== '');
  return [...new Set(types)].join(',');
}
