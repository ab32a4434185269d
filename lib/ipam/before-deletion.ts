// What goes before an object is deleted, where address management has to do with it: all of a Node's host, the blocks of an
// IPPool. On every way to the datastore alike, as in Calico's own client.

import type { Datastore } from '../datastore/datastore.ts';
import { ResourceClient } from '../datastore/resource-client.ts';
import { waitFor } from '../lifecycle/backoff.ts';
import type { IPPool } from '../model/endpoint-types.ts';
import type { Resource } from '../model/metadata.ts';
import { Ipam } from './allocator.ts';
import { removeOfHost } from './host-removal.ts';
import { vacatePool } from './pool-removal.ts';

export function goesWithOthers(kind: string): boolean {
  return kind === 'Node' || kind === 'IPPool';
}

/** Returns the version of the object that is to be deleted, which it leaves to the caller. May be tried again. */
export async function beforeDeletion(
  datastore: Datastore,
  object: Resource,
  signal: AbortSignal,
): Promise<Resource> {
  if (!goesWithOthers(object.kind)) return object;
  const calico = new ResourceClient({ datastore });
  const ipam = new Ipam({ datastore });
  if (object.kind === 'IPPool') return vacatePool(calico, ipam, object as IPPool, waitFor, signal);
  await removeOfHost(calico, ipam, object.metadata.name, signal);
  return object;
}
