// EndpointSlices for Felix: what an orchestrator plugin keeps under /calico-ts/endpointslices, as Calico has no path for them
// on etcd, and the agents read for rules that match services. Only what such rules ask.

import { z } from 'zod';
import { parseIp } from '../net/ip.ts';

export const ENDPOINT_SLICE_ROOT = '/calico-ts/endpointslices/';

const endpointSliceSchema = z.object({
  /** `namespace/name`. */
  service: z.string(),
  /** Single addresses, whether their endpoints are ready or not. */
  addresses: z.array(z.string().refine((text) => parseIp(text) !== undefined, 'not an address')),
  ports: z.array(
    z.object({ protocol: z.enum(['TCP', 'UDP', 'SCTP']), port: z.number().int().min(1).max(65_535) }),
  ),
});
export type StoredEndpointSlice = z.infer<typeof endpointSliceSchema>;

export interface EndpointSliceRef {
  readonly namespace: string;
  readonly name: string;
}

export function endpointSliceKey({ namespace, name }: EndpointSliceRef): string {
  return `${ENDPOINT_SLICE_ROOT}${namespace}/${name}`;
}

/** Undefined if it is not the key of a slice. */
export function parseEndpointSliceKey(key: string): EndpointSliceRef | undefined {
  if (!key.startsWith(ENDPOINT_SLICE_ROOT)) return undefined;
  const [namespace, name, ...rest] = key.slice(ENDPOINT_SLICE_ROOT.length).split('/');
  return namespace && name && rest.length === 0 ? { namespace, name } : undefined;
}

/** What is stored, parsed from JSON; undefined if it is no slice. */
export function asStoredEndpointSlice(value: unknown): StoredEndpointSlice | undefined {
  return endpointSliceSchema.safeParse(value).data;
}

/** The same of the key's value as it is. */
export function parseStoredEndpointSlice(value: string): StoredEndpointSlice | undefined {
  try {
    return asStoredEndpointSlice(JSON.parse(value));
  } catch {
    return undefined;
  }
}
