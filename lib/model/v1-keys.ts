// Paths of the internal v1 model that the syncers deliver (Calico's libcalico-go backend/model/keys.go). They pass
// between processes and into tests; nothing of it is stored in etcd.

import { canonicalCidr, parseCidr } from '../net/ip.ts';
import { escapeName, keyPartToCidr, unescapeName } from './key-names.ts';

export type V1Key =
  | {
      readonly type: 'WorkloadEndpoint';
      readonly host: string;
      readonly orchestrator: string;
      readonly workload: string;
      readonly endpoint: string;
    }
  | { readonly type: 'HostEndpoint'; readonly host: string; readonly endpoint: string }
  | { readonly type: 'NetworkSet'; readonly name: string }
  | { readonly type: 'Policy'; readonly kind: string; readonly namespace: string; readonly name: string }
  | {
      /** The path of releases before 3.32, which is only read. */
      readonly type: 'LegacyPolicy';
      readonly kind: string;
      readonly namespace: string;
      readonly name: string;
      readonly tier: string;
    }
  | { readonly type: 'Tier'; readonly name: string }
  | { readonly type: 'ProfileRules' | 'ProfileLabels'; readonly name: string }
  | { readonly type: 'IPPool'; readonly cidr: string }
  | { readonly type: 'GlobalConfig'; readonly name: string }
  | { readonly type: 'HostConfig'; readonly host: string; readonly name: string }
  | { readonly type: 'Wireguard'; readonly node: string }
  | { readonly type: 'ReadyFlag' }
  | { readonly type: 'GlobalBGPConfig'; readonly name: string }
  | { readonly type: 'NodeBGPConfig'; readonly node: string; readonly name: string };

/** What a v1 path names, or undefined. One leading slash may be missing, except for the ready flag. */
export function parseV1Key(path: string): V1Key | undefined {
  const parts = (path.startsWith('/') ? path.slice(1) : path).split('/');
  const [root, area, version] = parts;
  if (root !== 'calico') return undefined;
  if (area === 'bgp' && version === 'v1') return parseBgp(parts.slice(3));
  if (area !== 'v1') return undefined;
  return parseCore(parts.slice(2), path.startsWith('/'));
}

function parseCore(parts: readonly string[], hasLeadingSlash: boolean): V1Key | undefined {
  const [area, ...rest] = parts;
  switch (area) {
    case 'ipam':
      return parsePool(rest);
    case 'config':
      // Everything behind belongs to the name, a final slash included.
      return { type: 'GlobalConfig', name: rest.join('/') };
    case 'host':
      return parseHost(rest);
    case 'netset':
      return rest.length === 1 && rest[0] !== '' ? { type: 'NetworkSet', name: name(rest[0]) } : undefined;
    case 'Ready':
      return rest.length === 0 && hasLeadingSlash ? { type: 'ReadyFlag' } : undefined;
    case 'policy':
      return parsePolicyArea(rest);
    default:
      return undefined;
  }
}

function name(part: string | undefined): string {
  return unescapeName(part ?? '');
}

function parsePool(parts: readonly string[]): V1Key | undefined {
  const [version = '', word, part = ''] = parts;
  if (parts.length !== 3 || word !== 'pool' || !/^v[46]$/.test(version)) return undefined;
  const cidr = keyPartToCidr(part);
  return cidr === undefined ? undefined : { type: 'IPPool', cidr };
}

function parseHost(parts: readonly string[]): V1Key | undefined {
  const [hostPart, what, ...rest] = parts;
  const host = name(hostPart);
  switch (what) {
    case 'workload':
      if (rest.length !== 4 || rest[2] !== 'endpoint' || rest.includes('')) return undefined;
      return {
        type: 'WorkloadEndpoint',
        host,
        orchestrator: name(rest[0]),
        workload: name(rest[1]),
        endpoint: name(rest[3]),
      };
    case 'endpoint':
      return rest.length === 1 && rest[0] !== ''
        ? { type: 'HostEndpoint', host, endpoint: name(rest[0]) }
        : undefined;
    case 'config':
      return { type: 'HostConfig', host, name: rest.join('/') };
    case 'wireguard':
      return rest.length === 0 ? { type: 'Wireguard', node: host } : undefined;
    default:
      return undefined;
  }
}

function parsePolicyArea(parts: readonly string[]): V1Key | undefined {
  const [area = '', second = '', third = '', ...rest] = parts;
  if (parts.length < 3) return undefined;
  if (area === 'tier') {
    if (third === 'metadata') return rest.length === 0 ? { type: 'Tier', name: name(second) } : undefined;
    if (third !== 'policy' || rest.length !== 1 || rest[0] === '') return undefined;
    return parseLegacyPolicy(name(second), name(rest[0]));
  }
  if (rest.length > 0) return undefined;
  if (area === 'profile') {
    if (third === 'rules') return { type: 'ProfileRules', name: name(second) };
    return third === 'labels' ? { type: 'ProfileLabels', name: name(second) } : undefined;
  }
  if (area === '' || third === '') return undefined;
  return { type: 'Policy', kind: area, namespace: second, name: third };
}

/** Old paths tell the kind by prefixes of the name: `staged:`, `knp.default.`, `kcnp.`; they are cut off. */
function parseLegacyPolicy(tier: string, text: string): V1Key {
  const slash = text.indexOf('/');
  const namespace = slash < 0 ? '' : text.slice(0, slash);
  let rest = slash < 0 ? text : text.slice(slash + 1);
  const cut = (prefix: string): boolean => {
    if (!rest.startsWith(prefix)) return false;
    rest = rest.slice(prefix.length);
    return true;
  };
  const staged = cut('staged:') ? 'Staged' : '';
  let kind = namespace === '' ? `${staged}GlobalNetworkPolicy` : `${staged}NetworkPolicy`;
  if (cut('knp.default.')) kind = `${staged}KubernetesNetworkPolicy`;
  else if (staged === '' && cut('kcnp.')) kind = 'KubernetesClusterNetworkPolicy';
  return { type: 'LegacyPolicy', kind, namespace, name: rest, tier };
}

function parseBgp(parts: readonly string[]): V1Key | undefined {
  const [scope, first = '', ...rest] = parts;
  if (scope === 'global' && parts.length >= 2) {
    const rawName = parts.slice(1).join('/');
    return rawName === '' ? undefined : { type: 'GlobalBGPConfig', name: rawName };
  }
  if (scope !== 'host' || rest.length === 0 || first === '') return undefined;
  const rawName = rest.join('/');
  return rawName === '' ? undefined : { type: 'NodeBGPConfig', node: first, name: rawName };
}

const NAMESPACED_POLICY_KINDS: readonly string[] = [
  'NetworkPolicy',
  'StagedNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
];

/** The path of a key. Throws where a field that it needs is empty, and for the old policy path, which is only read. */
export function formatV1Key(key: V1Key): string {
  switch (key.type) {
    case 'WorkloadEndpoint':
      return `/calico/v1/host/${need(key.host)}/workload/${escaped(key.orchestrator)}/${escaped(key.workload)}/endpoint/${escaped(key.endpoint)}`;
    case 'HostEndpoint':
      return `/calico/v1/host/${need(key.host)}/endpoint/${escaped(key.endpoint)}`;
    case 'NetworkSet':
      return `/calico/v1/netset/${escaped(key.name)}`;
    case 'Policy':
      if (NAMESPACED_POLICY_KINDS.includes(key.kind)) need(key.namespace);
      return `/calico/v1/policy/${need(key.kind)}/${key.namespace}/${need(key.name)}`;
    case 'LegacyPolicy':
      throw new Error('old policy paths are read, never written');
    case 'Tier':
      return `/calico/v1/policy/tier/${need(key.name)}/metadata`;
    case 'ProfileRules':
      return `/calico/v1/policy/profile/${escaped(key.name)}/rules`;
    case 'ProfileLabels':
      return `/calico/v1/policy/profile/${escaped(key.name)}/labels`;
    case 'IPPool':
      return poolPath(key.cidr);
    default:
      return formatConfigKey(key);
  }
}

type ConfigKey = Extract<
  V1Key,
  { type: 'GlobalConfig' | 'HostConfig' | 'Wireguard' | 'ReadyFlag' | 'GlobalBGPConfig' | 'NodeBGPConfig' }
>;

function formatConfigKey(key: ConfigKey): string {
  switch (key.type) {
    case 'GlobalConfig':
      return `/calico/v1/config/${need(key.name)}`;
    case 'HostConfig':
      return `/calico/v1/host/${need(key.host)}/config/${need(key.name)}`;
    case 'Wireguard':
      return `/calico/v1/host/${need(key.node)}/wireguard`;
    case 'ReadyFlag':
      return '/calico/v1/Ready';
    case 'GlobalBGPConfig':
      return `/calico/bgp/v1/global/${need(key.name)}`;
    case 'NodeBGPConfig':
      return `/calico/bgp/v1/host/${need(key.node)}/${need(key.name)}`;
  }
}

function need(text: string): string {
  if (text === '') throw new Error('a key needs all its fields');
  return text;
}

function escaped(text: string): string {
  return escapeName(need(text));
}

function poolPath(text: string): string {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`not a network: ${JSON.stringify(text)}`);
  return `/calico/v1/ipam/v${cidr.family}/pool/${(canonicalCidr(text) ?? '').replace('/', '-')}`;
}
