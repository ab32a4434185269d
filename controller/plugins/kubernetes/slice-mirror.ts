// EndpointSlices for Felix: kept under /calico-ts, as Calico has no path for them on etcd, and only what rules that match
// services ask of them: a pod that becomes ready or not is no change.

import { convertEndpointSlice } from '../../../lib/conversion/endpoint-slice.ts';
import { compareAndWrite } from '../../../lib/datastore/compare-and-write.ts';
import type { Datastore } from '../../../lib/datastore/datastore.ts';
import type { EndpointSlice } from '../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import {
  ENDPOINT_SLICE_ROOT,
  endpointSliceKey,
  parseEndpointSliceKey,
} from '../../../lib/protocol/endpoint-slices.ts';

/**
 * Brings what is stored for the slice `namespace/name` to what it says; undefined: it is gone. Returns the revision of the write,
 * or undefined if nothing had to be written. Throws where somebody else writes the key meanwhile.
 */
export async function mirrorSlice(
  datastore: Datastore,
  name: string,
  slice: Resource | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const [namespace = '', own = ''] = name.split('/');
  const key = endpointSliceKey({ namespace, name: own });
  const converted =
    slice === undefined ? undefined : convertEndpointSlice(slice as Resource as EndpointSlice);
  const wanted = converted === undefined ? undefined : JSON.stringify(converted);
  const { kv } = await datastore.get(key, { signal });
  if (kv?.value === wanted) return undefined;
  const outcome = await compareAndWrite(datastore, key, wanted, kv?.modRevision ?? 0, signal);
  if (!outcome.written) throw new Error(`${key} was changed meanwhile`);
  return outcome.revision;
}

/** `namespace/name` of every slice that is stored. */
export async function storedSlices(datastore: Datastore, signal: AbortSignal): Promise<readonly string[]> {
  const { items } = await datastore.list(ENDPOINT_SLICE_ROOT, { signal });
  return items.flatMap(({ key }) => {
    const ref = parseEndpointSliceKey(key);
    return ref === undefined ? [] : [`${ref.namespace}/${ref.name}`];
  });
}
