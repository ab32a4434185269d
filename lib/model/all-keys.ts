// Any path that Calico's own client knows, parsed and written: stored ones (v3 resources, IPAM, status) and those of the
// internal model. Used by tools and tests that meet paths of every family.

import {
  blockAffinityKey,
  blockAffinityListRoot,
  blockKey,
  blockListRoot,
  handleKey,
  IPAM_CONFIG_KEY,
  IPAM_HANDLE_ROOT,
  type IpamKey,
  ipamHostKey,
  parseIpamKey,
} from './ipam-keys.ts';
import { keyForResource, listRoot, parseResourceKey } from './keys.ts';
import {
  formatStatusKey,
  parseStatusKey,
  type StatusKey,
  type StatusListLimits,
  statusListRoot,
} from './status-keys.ts';
import { formatV1Key, parseV1Key, type V1Key } from './v1-keys.ts';

export type AnyKey =
  | { readonly type: 'Resource'; readonly kind: string; readonly namespace?: string; readonly name: string }
  | IpamKey
  | StatusKey
  | V1Key;

/**
 * As Calico's client parses a path: undefined means "not a key". IPAM's settings and host markers are not parsed by it,
 * as they are never listed; `parseIpamKey` knows them.
 */
export function parseAnyKey(path: string): AnyKey | undefined {
  const resource = parseResourceKey(path);
  if (resource !== undefined) return { type: 'Resource', ...resource };
  const ipam = parseIpamKey(path);
  if (ipam !== undefined) return ipam.type === 'IPAMConfig' || ipam.type === 'IPAMHost' ? undefined : ipam;
  return parseStatusKey(path) ?? parseV1Key(path);
}

/** The path of a key; throws where one of its fields is missing or impossible. */
export function formatAnyKey(key: AnyKey): string {
  switch (key.type) {
    case 'Resource':
      return keyForResource(key.kind, key.namespace, key.name);
    case 'Block':
      return blockKey(key.cidr);
    case 'BlockAffinity':
      return blockAffinityKey(key.host, key.cidr, key.affinity);
    case 'IPAMHandle':
      return handleKey(key.handle);
    case 'IPAMConfig':
      return IPAM_CONFIG_KEY;
    case 'IPAMHost':
      return ipamHostKey(key.host);
    case 'ActiveStatusReport':
    case 'LastStatusReport':
    case 'WorkloadEndpointStatus':
    case 'HostEndpointStatus':
      return formatStatusKey(key);
    default:
      return formatV1Key(key);
  }
}

export type ListLimits =
  | { readonly type: 'Resource'; readonly kind: string; readonly namespace?: string; readonly name?: string }
  | { readonly type: 'Block'; readonly ipVersion?: 4 | 6 }
  | {
      readonly type: 'BlockAffinity';
      readonly host?: string;
      readonly ipVersion?: 4 | 6;
      readonly affinity?: 'host' | 'virtual';
    }
  | { readonly type: 'IPAMHandle' }
  | StatusListLimits;

/** The path that a list starts from, as Calico's client reads it: it stops at the first limit that is missing. */
export function listRootOf(limits: ListLimits): string {
  switch (limits.type) {
    case 'Resource':
      return listRoot(limits);
    case 'Block':
      return blockListRoot(limits.ipVersion);
    case 'BlockAffinity':
      return blockAffinityListRoot(limits);
    case 'IPAMHandle':
      return IPAM_HANDLE_ROOT;
    default:
      return statusListRoot(limits);
  }
}
