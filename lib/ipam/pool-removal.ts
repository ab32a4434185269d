// A pool goes (libcalico-go/lib/clientv3/ippool.go, Delete): nobody takes new addresses of it, then every host gives its
// blocks back. Addresses in use stay assigned, in blocks that belong to nobody, until their workloads end.

import type { ResourceClient } from '../datastore/resource-client.ts';
import type { IPPool } from '../model/endpoint-types.ts';
import { parseCidr } from '../net/ip.ts';
import type { Ipam } from './allocator.ts';

/** Hosts hear of the disabled pool within this time; one that claims a block later leaves it for garbage collection. */
const DISABLED_MS = 500;

/** Returns the pool as it is then: disabled, and so of another version. Throws ResourceError `conflict` if it was not the newest. */
export async function vacatePool(
  calico: ResourceClient,
  ipam: Ipam,
  pool: IPPool,
  wait: (delayMs: number, signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<IPPool> {
  const { spec } = pool;
  // What is no pool that addresses could come from has none to give back.
  if (spec === undefined || parseCidr(spec.cidr) === undefined) return pool;
  let disabled = pool;
  if (spec.disabled !== true) {
    disabled = await calico.update<IPPool>({ ...pool, spec: { ...spec, disabled: true } }, signal);
    await wait(DISABLED_MS, signal);
    signal.throwIfAborted();
  }
  await ipam.releasePoolAffinities(spec.cidr, signal);
  return disabled;
}
