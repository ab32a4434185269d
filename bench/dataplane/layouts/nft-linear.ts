// The classic layout in native nftables, as Calico's Felix renders it in that mode: the same chains, with a verdict map in
// place of the tree of interface names and named sets in place of ipsets.

import type { NodeName, PathCluster, PathEndpoint, PathPolicy } from '../scales.ts';
import { chainName, setName, usedPolicies } from './classic.ts';

const SET_ACCEPT = 'meta mark set meta mark | 0x10000';
const CLEAR_ACCEPT = 'meta mark set meta mark & 0xfffeffff';
const CLEAR_PASS = 'meta mark set meta mark & 0xfffdffff';
const NOT_PASSED = 'meta mark & 0x20000 == 0';
const RETURN_IF_ACCEPTED = 'meta mark & 0x10000 == 0x10000 return';
const PROFILE_CHAINS = ['cali-pri-kns.bench', 'cali-pro-kns.bench'] as const;

/** For `nft -f -`. */
export function renderNftLinear(cluster: PathCluster, node: NodeName): string {
  const local = cluster.endpoints.filter((endpoint) => endpoint.node === node);
  const policies = usedPolicies(cluster, local);
  const elements = (prefix: string): string =>
    local.map(({ interfaceName }) => `"${interfaceName}" : goto cali-${prefix}-${interfaceName}`).join(', ');
  return [
    'table ip calico {',
    ...policies.map(
      (policy) => `set ${setName(policy)} { type ipv4_addr; elements = { ${policy.members.join(', ')} }; }`,
    ),
    ...policies.map(policyChain),
    ...PROFILE_CHAINS.map((name) => chain(name, [SET_ACCEPT, RETURN_IF_ACCEPTED])),
    ...local.flatMap((endpoint) => [fromEndpoint(endpoint), toEndpoint(endpoint, cluster.policies)]),
    `map cali-fw-dispatch { type ifname : verdict; elements = { ${elements('fw')} }; }`,
    `map cali-tw-dispatch { type ifname : verdict; elements = { ${elements('tw')} }; }`,
    chain('cali-from-wl-dispatch', ['iifname vmap @cali-fw-dispatch', 'drop']),
    chain('cali-to-wl-dispatch', ['oifname vmap @cali-tw-dispatch', 'drop']),
    chain('filter-FORWARD', [
      'type filter hook forward priority filter; policy accept;',
      'meta mark set meta mark & 0xfff1ffff',
      'iifname "cali*" jump cali-from-wl-dispatch',
      'oifname "cali*" jump cali-to-wl-dispatch',
      'meta mark & 0x10000 == 0x10000 accept',
    ]),
    '}',
    '',
  ].join('\n');
}

const CONNTRACK_FIRST = [
  'ct state established,related accept',
  'ct state invalid drop',
  CLEAR_ACCEPT,
] as const;

function toEndpoint(endpoint: PathEndpoint, policies: readonly PathPolicy[]): string {
  const own = endpoint.policies.map((index) => policies[index]).filter((policy) => policy !== undefined);
  const tier = [
    CLEAR_PASS,
    ...own.flatMap((policy) => [`${NOT_PASSED} jump ${chainName(policy)}`, RETURN_IF_ACCEPTED]),
    `${NOT_PASSED} drop`,
  ];
  return chain(`cali-tw-${endpoint.interfaceName}`, [
    ...CONNTRACK_FIRST,
    ...(own.length === 0 ? [] : tier),
    `jump ${PROFILE_CHAINS[0]}`,
    RETURN_IF_ACCEPTED,
    'drop',
  ]);
}

function fromEndpoint({ interfaceName }: PathEndpoint): string {
  return chain(`cali-fw-${interfaceName}`, [
    ...CONNTRACK_FIRST,
    'udp dport 4789 drop',
    'meta l4proto ipencap drop',
    `jump ${PROFILE_CHAINS[1]}`,
    RETURN_IF_ACCEPTED,
    'drop',
  ]);
}

function policyChain(policy: PathPolicy): string {
  const rule = (protocol: string, ports: readonly number[]): readonly string[] => [
    `meta l4proto ${protocol} ip saddr @${setName(policy)} ${protocol} dport { ${ports.join(', ')} } ${SET_ACCEPT}`,
    RETURN_IF_ACCEPTED,
  ];
  return chain(chainName(policy), [...rule('tcp', policy.tcpPorts), ...rule('udp', policy.udpPorts)]);
}

function chain(name: string, rules: readonly string[]): string {
  return [`chain ${name} {`, ...rules.map((rule) => `  ${rule}`), '}'].join('\n');
}
