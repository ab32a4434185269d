// What stays the same in every random cluster: hosts, workloads and outsiders with their addresses, so that a bed of namespaces is
// made once for all of them. What they are called by labels, ports, accounts and profiles is drawn (cluster.ts).

export interface WorldHost {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
}
export interface WorldPod extends WorldHost {
  readonly namespace: string;
  readonly host: string;
}

export const HOSTS: readonly WorldHost[] = [
  { name: 'n1', v4: '172.30.0.11', v6: 'fd30::11' },
  { name: 'n2', v4: '172.30.0.12', v6: 'fd30::12' },
];
export const NAMESPACES = ['red', 'blue'] as const;
/** Two of one namespace on one host, one on the other; two of another namespace, one on each. */
export const PODS: readonly WorldPod[] = [
  { namespace: 'red', name: 'a', host: 'n1', v4: '10.80.0.2', v6: 'fd80::2' },
  { namespace: 'red', name: 'b', host: 'n2', v4: '10.80.0.66', v6: 'fd80::42' },
  { namespace: 'red', name: 'e', host: 'n1', v4: '10.80.0.3', v6: 'fd80::3' },
  { namespace: 'blue', name: 'c', host: 'n1', v4: '10.80.0.4', v6: 'fd80::4' },
  { namespace: 'blue', name: 'd', host: 'n2', v4: '10.80.0.133', v6: 'fd80::85' },
];
/** Addresses of one machine outside of the cluster. */
export const OUTSIDE = {
  v4: ['198.18.9.9', '198.18.20.1', '203.0.113.7'],
  v6: ['2001:db8::9', '2001:db8:1::1'],
} as const;

/** Services that rules name; their slices are drawn. */
export const SERVICES = [
  { namespace: 'red', name: 'cart' },
  { namespace: 'blue', name: 'till' },
] as const;

/** Networks that rules and sets name: around, beside and inside of each other and of the addresses above. */
export const NETS = {
  v4: [
    '10.80.0.0/25',
    '10.80.0.66/32',
    '10.80.0.0/16',
    '10.80.0.2/31',
    '198.18.0.0/15',
    '198.18.9.9/32',
    '203.0.113.0/24',
    '172.30.0.0/24',
    '0.0.0.0/0',
  ],
  v6: ['fd80::/122', 'fd80::42/128', 'fd80::2/127', 'fd80::/16', '2001:db8::/48', 'fd30::/64', '::/0'],
} as const;

/** `namespace/name`, `host:NAME`, `outside`. */
export type EndName = string;

export interface End {
  readonly name: EndName;
  readonly v4: readonly string[];
  readonly v6: readonly string[];
  /** The host that it is or is on; undefined outside. */
  readonly host: string | undefined;
  readonly kind: 'pod' | 'host' | 'outside';
}

export const ENDS: readonly End[] = [
  ...PODS.map(({ namespace, name, host, v4, v6 }): End => {
    return { name: `${namespace}/${name}`, v4: [v4], v6: [v6], host, kind: 'pod' };
  }),
  ...HOSTS.map(({ name, v4, v6 }): End => {
    return { name: `host:${name}`, v4: [v4], v6: [v6], host: name, kind: 'host' };
  }),
  { name: 'outside', ...OUTSIDE, host: undefined, kind: 'outside' },
];

const END_BY_ADDRESS = new Map(
  ENDS.flatMap((end) => [...end.v4, ...end.v6].map((address) => [address, end])),
);

/** Throws if the address is nobody's. */
export function endOf(address: string): End {
  const end = END_BY_ADDRESS.get(address);
  if (end === undefined) throw new Error(`nobody has ${address}`);
  return end;
}
