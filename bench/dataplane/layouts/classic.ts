// The classic layout as Calico's Felix renders it (felix/rules there: static.go, dispatch.go, endpoints.go, policy.go), as
// rules in iptables-restore's form and sets in ipset's: a chain per endpoint and direction, reached through a tree of
// interface names; a chain per policy; mark bits for accept and pass; a set per selector; established flows accepted first.
// No raw and no NAT table: what those cost is measured apart.

import type { NodeName, PathCluster, PathEndpoint, PathPolicy } from '../scales.ts';

const ACCEPT = '0x10000/0x10000';
const CLEAR_ACCEPT = '-j MARK --set-xmark 0x0/0x10000';
const SET_ACCEPT = `-j MARK --set-xmark ${ACCEPT}`;
const CLEAR_PASS = '-j MARK --set-xmark 0x0/0x20000';
const NOT_PASSED = '-m mark --mark 0x0/0x20000';
const RETURN_IF_ACCEPTED = `-m mark --mark ${ACCEPT} -j RETURN`;
const PROFILE = 'kns.bench';

interface Chain {
  readonly name: string;
  readonly rules: readonly string[];
}

/** For `iptables-legacy-restore` and `iptables-nft-restore`. */
export function renderIptables(cluster: PathCluster, node: NodeName): string {
  const local = cluster.endpoints.filter((endpoint) => endpoint.node === node);
  const chains = [
    ...dispatchTree('from', 'fw', '-i', local),
    ...dispatchTree('to', 'tw', '-o', local),
    ...local.flatMap((endpoint) => [fromEndpoint(endpoint), toEndpoint(endpoint, cluster.policies)]),
    ...usedPolicies(cluster, local).map(policyChain),
    { name: `cali-pri-${PROFILE}`, rules: [SET_ACCEPT, RETURN_IF_ACCEPTED] },
    { name: `cali-pro-${PROFILE}`, rules: [SET_ACCEPT, RETURN_IF_ACCEPTED] },
    {
      name: 'cali-FORWARD',
      rules: [
        '-j MARK --set-xmark 0x0/0xe0000',
        '-i cali+ -j cali-from-wl-dispatch',
        '-o cali+ -j cali-to-wl-dispatch',
      ],
    },
  ];
  const rules = [
    ...chains.flatMap(({ name, rules: own }) => own.map((rule) => `-A ${name} ${rule}`)),
    '-A FORWARD -j cali-FORWARD',
    `-A FORWARD -m mark --mark ${ACCEPT} -j ACCEPT`,
  ];
  const declarations = chains.map(({ name }) => `:${name} - [0:0]`);
  return ['*filter', ...declarations, ...rules, 'COMMIT', ''].join('\n');
}

/** For `ipset restore`. */
export function renderIpsets(cluster: PathCluster, node: NodeName): string {
  const local = cluster.endpoints.filter((endpoint) => endpoint.node === node);
  const lines = usedPolicies(cluster, local).flatMap((policy) => [
    `create ${setName(policy)} hash:net family inet maxelem 1048576`,
    ...policy.members.map((address) => `add ${setName(policy)} ${address}`),
  ]);
  return `${lines.join('\n')}\n`;
}

/** Policies that a local endpoint has. */
export function usedPolicies(
  { policies }: PathCluster,
  local: readonly PathEndpoint[],
): readonly PathPolicy[] {
  const used = new Set(local.flatMap((endpoint) => endpoint.policies));
  return policies.filter((_, index) => used.has(index));
}

/** One level of prefixes, as many digits as there are in common and one more. */
function dispatchTree(
  direction: 'from' | 'to',
  prefix: 'fw' | 'tw',
  option: '-i' | '-o',
  endpoints: readonly PathEndpoint[],
): readonly Chain[] {
  const root = `cali-${direction}-wl-dispatch`;
  const byDigit = Map.groupBy(endpoints, ({ interfaceName }) => interfaceName.slice(4, 5));
  const branches = [...byDigit].map(([digit, members]): Chain & { readonly digit: string } => ({
    digit,
    name: `${root}-${digit}`,
    rules: [
      ...members.map(({ interfaceName }) => `${option} ${interfaceName} -g cali-${prefix}-${interfaceName}`),
      '-j DROP',
    ],
  }));
  return [
    {
      name: root,
      rules: [...branches.map(({ digit, name }) => `${option} cali${digit}+ -g ${name}`), '-j DROP'],
    },
    ...branches,
  ];
}

const CONNTRACK_FIRST = [
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-m conntrack --ctstate INVALID -j DROP',
  CLEAR_ACCEPT,
] as const;

function toEndpoint(endpoint: PathEndpoint, policies: readonly PathPolicy[]): Chain {
  const own = endpoint.policies.map((index) => policies[index]).filter((policy) => policy !== undefined);
  const tier = [
    CLEAR_PASS,
    ...own.flatMap((policy) => [`${NOT_PASSED} -j ${chainName(policy)}`, RETURN_IF_ACCEPTED]),
    `${NOT_PASSED} -j DROP`,
  ];
  return {
    name: `cali-tw-${endpoint.interfaceName}`,
    rules: [
      ...CONNTRACK_FIRST,
      ...(own.length === 0 ? [] : tier),
      `-j cali-pri-${PROFILE}`,
      RETURN_IF_ACCEPTED,
      '-j DROP',
    ],
  };
}

function fromEndpoint({ interfaceName }: PathEndpoint): Chain {
  return {
    name: `cali-fw-${interfaceName}`,
    rules: [
      ...CONNTRACK_FIRST,
      '-p udp -m multiport --dports 4789 -j DROP',
      '-p ipencap -j DROP',
      `-j cali-pro-${PROFILE}`,
      RETURN_IF_ACCEPTED,
      '-j DROP',
    ],
  };
}

function policyChain(policy: PathPolicy): Chain {
  const rule = (protocol: string, ports: readonly number[]): readonly string[] => [
    `-p ${protocol} -m set --match-set ${setName(policy)} src -m multiport --dports ${ports.join(',')} ${SET_ACCEPT}`,
    RETURN_IF_ACCEPTED,
  ];
  return {
    name: chainName(policy),
    rules: [...rule('tcp', policy.tcpPorts), ...rule('udp', policy.udpPorts)],
  };
}

export function chainName(policy: PathPolicy): string {
  return `cali-pi-${policy.name}`;
}

export function setName(policy: PathPolicy): string {
  return `cali40s-${policy.name}`;
}
