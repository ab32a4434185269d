// A resource as the agents meet it in the datastore: Calico's under their own keys, EndpointSlices as the kubernetes plugin
// mirrors them.

import { convertEndpointSlice } from '../../lib/conversion/endpoint-slice.ts';
import { keyOf } from '../../lib/model/keys.ts';
import type { EndpointSlice } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { endpointSliceKey } from '../../lib/protocol/endpoint-slices.ts';

export interface StoredResource {
  readonly key: string;
  /** Undefined where nothing is stored for it. */
  readonly value: unknown;
}

export function storedResource(resource: Resource): StoredResource {
  if (resource.kind !== 'EndpointSlice') return { key: keyOf(resource), value: resource };
  const { namespace = '', name } = resource.metadata;
  return {
    key: endpointSliceKey({ namespace, name }),
    value: convertEndpointSlice(resource as Resource as EndpointSlice),
  };
}
