// Where a node is reached, as its kubelet has said.

import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import { at } from './columns.ts';

/** Its InternalIP. Throws ServiceUnavailable if it has not said one yet. */
export function internalAddress(node: Resource): string {
  const addresses = (at(node, 'status.addresses') ?? []) as { type?: string; address?: string }[];
  const host = addresses.find(({ type }) => type === 'InternalIP')?.address;
  if (host !== undefined) return host;
  const { name } = node.metadata;
  const message = `node ${name} has not said its address yet`;
  throw new ApiError('ServiceUnavailable', message, { name, kind: 'nodes' });
}
