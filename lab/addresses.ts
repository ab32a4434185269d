// Who has which address on the lab's fabric. Pure. Fabric n is 172.30.n.0/24 and fd30:0:0:n::/64; .1 is the lab's own end of
// it, .2 its services (etcd, API), cluster hosts follow from .11, foreign routers and clients from .200.

/** A node of the cluster, or a machine that does not belong to it (a router, an outside client). */
export type HostKind = 'node' | 'external';

const FIRST_NODE = 11;
const FIRST_EXTERNAL = 200;
const AFTER_LAST = 255;

/** Addresses and names of one fabric; several labs can exist side by side, one fabric each. */
export interface Fabric {
  readonly number: number;
  readonly bridge: string;
  /** Of the bridge: without one of its own it would take the least of its ports', and change it as hosts come and go. */
  readonly mac: string;
  readonly prefixLength: number;
  readonly prefixLength6: number;
  readonly gateway: string;
  readonly gateway6: string;
  readonly services: string;
  readonly services6: string;
}

export function fabricOf(number: number): Fabric {
  return {
    number,
    bridge: `fabric${number}`,
    mac: `02:00:ac:1e:${hex(number)}:01`,
    prefixLength: 24,
    prefixLength6: 64,
    gateway: `172.30.${number}.1`,
    gateway6: address6(number, 1),
    services: `172.30.${number}.2`,
    services6: address6(number, 2),
  };
}

/** The place of a host on the fabric: last octet of its address, and what derives from it. */
export interface HostPlace {
  readonly octet: number;
  readonly address: string;
  readonly address6: string;
  /** The fabric's end of the host's cable, at most 15 characters. */
  readonly port: string;
  /** Network namespace; other fabrics than 0 prefix theirs, so that labs can share /run/netns. */
  readonly netns: string;
}

/** How many hosts of a kind fit. */
export function hostLimit(kind: HostKind): number {
  return kind === 'node' ? FIRST_EXTERNAL - FIRST_NODE : AFTER_LAST - FIRST_EXTERNAL;
}

/**
 * The octet for a new host: the one its name asks for ("node-3" → .13) when free, else the lowest free one; undefined
 * when all are taken.
 */
export function chooseOctet(name: string, kind: HostKind, taken: ReadonlySet<number>): number | undefined {
  const first = kind === 'node' ? FIRST_NODE : FIRST_EXTERNAL;
  const wanted = first - 1 + Number(/-(\d{1,3})$/.exec(name)?.[1] ?? 0);
  if (wanted >= first && wanted < first + hostLimit(kind) && !taken.has(wanted)) return wanted;
  for (let octet = first; octet < first + hostLimit(kind); octet++) if (!taken.has(octet)) return octet;
  return undefined;
}

export function hostPlace(fabric: number, octet: number, name: string): HostPlace {
  return {
    octet,
    address: `172.30.${fabric}.${octet}`,
    address6: address6(fabric, octet),
    port: `f${fabric}p${octet}`,
    netns: fabric === 0 ? name : `f${fabric}-${name}`,
  };
}

/** RFC 1123 label, as Kubernetes wants node names. */
export function isHostName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
}

/** Two digits. */
function hex(octet: number): string {
  return octet.toString(16).padStart(2, '0');
}

function address6(fabric: number, octet: number): string {
  // RFC 5952: fabric 0 has one run of zeros.
  const network = fabric === 0 ? 'fd30' : `fd30:0:0:${fabric.toString(16)}`;
  return `${network}::${octet.toString(16)}`;
}
