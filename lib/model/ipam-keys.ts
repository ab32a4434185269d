// etcd keys of IPAM (Calico's libcalico-go backend/model/{block,block_affinity,ipam_handle,ipam_config,ipam_host}.go).
// Networks are masked when parsed and when written; hosts and handle ids are written as they are.

import { cidrToKeyPart, familySegment, keyPartToCidr } from './key-names.ts';

export const IPAM_ROOT = '/calico/ipam/v2/';
export const IPAM_CONFIG_KEY = '/calico/ipam/v2/config';
const IPAM_BLOCK_ROOT = '/calico/ipam/v2/assignment/';
const IPAM_HOST_ROOT = '/calico/ipam/v2/host/';
export const IPAM_HANDLE_ROOT = '/calico/ipam/v2/handle/';
const IPAM_VIRTUAL_ROOT = '/calico/ipam/v2/virtual/';

/** `host` = a node's block; `virtual` = a block of a LoadBalancer pool. */
export type AffinityType = 'host' | 'virtual';

export type IpamKey =
  | { readonly type: 'Block'; readonly cidr: string }
  | {
      readonly type: 'BlockAffinity';
      readonly cidr: string;
      readonly host: string;
      readonly affinity: AffinityType;
    }
  | { readonly type: 'IPAMHandle'; readonly handle: string }
  | { readonly type: 'IPAMConfig' }
  | { readonly type: 'IPAMHost'; readonly host: string };

/** Throws if the text is no network. */
export function blockKey(cidr: string): string {
  return `${IPAM_BLOCK_ROOT}${familyAndBlock(cidr)}`;
}

/** Key of a block's affinity. Throws if the text is no network or the host is empty. */
export function blockAffinityKey(host: string, cidr: string, affinity: AffinityType = 'host'): string {
  return `${affinityPrefix(host, affinity)}${familyAndBlock(cidr)}`;
}

/** Prefix of all affinities of a host, or of those of one family. */
export function blockAffinityPrefix(host: string, family?: 4 | 6, affinity: AffinityType = 'host'): string {
  const prefix = affinityPrefix(host, affinity);
  return family === undefined ? prefix : `${prefix}ipv${family}/block/`;
}

function affinityPrefix(host: string, affinity: AffinityType): string {
  if (host === '' || host.includes('/')) throw new Error(`not a host for a key: ${JSON.stringify(host)}`);
  return `${affinity === 'host' ? IPAM_HOST_ROOT : IPAM_VIRTUAL_ROOT}${host}/`;
}

export function handleKey(handle: string): string {
  if (handle === '' || handle.includes('/'))
    throw new Error(`not a handle id for a key: ${JSON.stringify(handle)}`);
  return `${IPAM_HANDLE_ROOT}${handle}`;
}

/** The legacy marker of a host that uses IPAM. */
export function ipamHostKey(host: string): string {
  return affinityPrefix(host, 'host').slice(0, -1);
}

/** Prefix of all blocks, or of those of one family. */
export function blockPrefix(family?: 4 | 6): string {
  return family === undefined ? IPAM_BLOCK_ROOT : `${IPAM_BLOCK_ROOT}ipv${family}/block/`;
}

function familyAndBlock(cidr: string): string {
  const part = cidrToKeyPart(cidr);
  if (part === undefined) throw new Error(`not a network: ${JSON.stringify(cidr)}`);
  return `${familySegment(cidr)}/block/${part}`;
}

/** What an IPAM key names, or undefined if it is none. One leading slash may be missing. */
export function parseIpamKey(path: string): IpamKey | undefined {
  const key = path.startsWith('/') ? path : `/${path}`;
  if (!key.startsWith(IPAM_ROOT)) return undefined;
  const parts = key.slice(IPAM_ROOT.length).split('/');
  if (parts.includes('')) return undefined;
  const [area = '', ...rest] = parts;
  switch (area) {
    case 'config':
      return rest.length === 0 ? { type: 'IPAMConfig' } : undefined;
    case 'handle':
      return rest.length === 1 ? { type: 'IPAMHandle', handle: rest[0] ?? '' } : undefined;
    case 'assignment':
      return parseBlock(rest);
    case 'host':
      return rest.length === 1 ? { type: 'IPAMHost', host: rest[0] ?? '' } : parseAffinity(rest, 'host');
    case 'virtual':
      return parseAffinity(rest, 'virtual');
    default:
      return undefined;
  }
}

function parseBlock(parts: readonly string[]): IpamKey | undefined {
  const cidr = parseFamilyAndBlock(parts);
  return cidr === undefined ? undefined : { type: 'Block', cidr };
}

function parseAffinity(parts: readonly string[], affinity: AffinityType): IpamKey | undefined {
  const [host = '', ...rest] = parts;
  const cidr = parseFamilyAndBlock(rest);
  return cidr === undefined ? undefined : { type: 'BlockAffinity', cidr, host, affinity };
}

function parseFamilyAndBlock(parts: readonly string[]): string | undefined {
  const [version = '', word = '', part = ''] = parts;
  if (parts.length !== 3 || word !== 'block') return undefined;
  if (version !== 'ipv4' && version !== 'ipv6') return undefined;
  return keyPartToCidr(part, version === 'ipv4' ? 4 : 6);
}

/** Where a list of blocks starts (for comparison with Calico's own client; reads use the prefixes above). */
export function blockListRoot(ipVersion?: 4 | 6): string {
  return ipVersion === undefined ? IPAM_BLOCK_ROOT : `${IPAM_BLOCK_ROOT}ipv${ipVersion}/`;
}

/** Where a list of affinities starts: it stops at the first limit that is missing. */
export function blockAffinityListRoot(limits: {
  host?: string;
  ipVersion?: 4 | 6;
  affinity?: AffinityType;
}): string {
  const root = limits.affinity === 'virtual' ? IPAM_VIRTUAL_ROOT : IPAM_HOST_ROOT;
  if (limits.host === undefined || limits.host === '') return root;
  return limits.ipVersion === undefined
    ? `${root}${limits.host}`
    : `${root}${limits.host}/ipv${limits.ipVersion}/block`;
}
