// What is measured on the packet path: a host of so many endpoints, one of which has so many policies. Plain values that every
// layout is made from, ours and the classic ones.

import { createHash } from 'node:crypto';

/** `policies` on the measured endpoint, `endpoints` on each host. */
export interface Scale {
  readonly name: string;
  readonly policies: number;
  readonly endpoints: number;
}

export const SCALES: readonly Scale[] = [
  { name: '10:100', policies: 10, endpoints: 100 },
  { name: '100:1000', policies: 100, endpoints: 1_000 },
  { name: '1000:5000', policies: 1_000, endpoints: 5_000 },
];

/** Allows these ports of TCP and UDP to `members`, at ingress. */
export interface PathPolicy {
  readonly name: string;
  /** Addresses. */
  readonly members: readonly string[];
  readonly tcpPorts: readonly number[];
  readonly udpPorts: readonly number[];
}

export interface PathEndpoint {
  readonly name: string;
  readonly node: NodeName;
  readonly interfaceName: string;
  readonly address: string;
  /** Indices into `policies`, in order; without any its profile allows everything. */
  readonly policies: readonly number[];
}

export type NodeName = 'node-1' | 'node-2';

export interface PathCluster {
  readonly scale: Scale;
  readonly policies: readonly PathPolicy[];
  /** The measured ones come first. */
  readonly endpoints: readonly PathEndpoint[];
}

export const TCP_PORTS = [80, 443, 8080] as const;
const UDP_PORTS = [53, 5000] as const;
/** What the measured endpoint's last policy allows to the client, and what nothing allows. */
export const ALLOWED_PORT = 53;
export const DENIED_PORT = 54;
export const CLIENT = { name: 'client', node: 'node-1', address: '10.65.0.2' } as const;
/** The client's peer on its own host, and the one on the other host. */
export const NEAR = { name: 'near', node: 'node-1', address: '10.65.0.3' } as const;
export const FAR = { name: 'far', node: 'node-2', address: '10.65.128.3' } as const;
/** An address that the client does not have. */
export const SPOOFED_ADDRESS = '10.65.0.99';
/** Out of all pools, beyond the first host. */
export const OUTSIDE_ADDRESS = '192.0.2.2';
export const POOL = '10.64.0.0/10';
export const NODE_ADDRESSES: Readonly<Record<NodeName, string>> = {
  'node-1': '172.30.0.11',
  'node-2': '172.30.0.12',
};

const MEMBERS = 20;
/** Endpoints that are not measured have three policies of so many. */
const OTHER_POLICIES = 50;
const OTHERS_EACH = [0, 17, 33] as const;

/** Of the measured endpoint's policies only the last one names the client. */
export function pathCluster(scale: Scale): PathCluster {
  const count = scale.policies + OTHER_POLICIES;
  const policies = Array.from({ length: count }, (_, index): PathPolicy => {
    const members = Array.from({ length: MEMBERS }, (__, member) => memberAddress(index * MEMBERS + member));
    const isLast = index === scale.policies - 1;
    return {
      name: `p${String(index).padStart(4, '0')}`,
      members: isLast ? [...members.slice(1), CLIENT.address] : members,
      tcpPorts: TCP_PORTS,
      udpPorts: UDP_PORTS,
    };
  });
  const measured = Array.from({ length: scale.policies }, (_, index) => index);
  return {
    scale,
    policies,
    endpoints: [
      pathEndpoint(CLIENT, []),
      pathEndpoint(NEAR, measured),
      pathEndpoint(FAR, measured),
      ...otherEndpoints('node-1', scale, 2),
      ...otherEndpoints('node-2', scale, 1),
    ],
  };
}

function otherEndpoints(node: NodeName, scale: Scale, measured: number): readonly PathEndpoint[] {
  const subnet = node === 'node-1' ? 0 : 128;
  return Array.from({ length: scale.endpoints - measured }, (_, index) => {
    // From .1.0 up: none of the measured ones.
    const address = `10.65.${subnet + 1 + (index >> 8)}.${index & 255}`;
    const policies = OTHERS_EACH.map((step) => scale.policies + ((index + step) % OTHER_POLICIES));
    return pathEndpoint({ name: `other-${node}-${index}`, node, address }, policies);
  });
}

export function pathEndpoint(
  { name, node, address }: { readonly name: string; readonly node: NodeName; readonly address: string },
  policies: readonly number[],
): PathEndpoint {
  return { name, node, address, policies, interfaceName: interfaceNameOf(name) };
}

/** `cali` and eleven hexadecimal digits, spread as those of Calico are. */
export function interfaceNameOf(name: string): string {
  return `cali${createHash('sha1').update(name).digest('hex').slice(0, 11)}`;
}

/** No endpoint of either host has it unless `pathCluster` gives it one. */
export function memberAddress(number: number): string {
  return `10.${66 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}
