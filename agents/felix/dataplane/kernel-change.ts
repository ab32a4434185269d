// What a line of `ip -o monitor` is about, as far as it concerns what Felix has written: pure. Our own writes are told of too, and are
// passed over where they say what we want; whoever is told looks at the kernel itself.

/** `workloads`: links, routes, neighbours, addresses for peering of workloads; `tunnels`; `underlay`: the host's own interfaces; `sysctls`. */
export type ChangedPart = 'workloads' | 'foreignRoutes' | 'tunnels' | 'underlay' | 'sysctls';

/** What is ours. */
export interface OwnNetwork {
  readonly routeProtocol: number;
  /** By name: an interface of the kind that workloads have. */
  readonly isWorkload: (interfaceName: string) => boolean;
  /** Its link and routes have been written. */
  readonly isProgrammed: (interfaceName: string) => boolean;
  readonly isTunnel: (interfaceName: string) => boolean;
  /** Of an address of a workload here; undefined: it is none. */
  readonly neighbourOf: (address: string) => { readonly mac: string | undefined } | undefined;
  /** What the host is to a workload that peers with it, on that workload's interface. */
  readonly isPeeringAddress: (interfaceName: string, address: string) => boolean;
  /** A network that a tunnel's route, or a blackhole of ours, is for. */
  readonly isTunnelNet: (net: string) => boolean;
  /** A routing table that tunnels have to themselves. */
  readonly isTunnelTable: (table: string) => boolean;
}

const LINK = /^\d+: ([^\s:@]+)(?:@\S+)?: <([^>]*)>/;
const ADDRESS = /^\d+: (\S+)\s+inet6? ([^\s/]+)/;
const RULE = /^\d+:\s+(?:not )?from \S+ .*lookup (\S+)/;
const NETCONF = /^inet6? (\S+) .*\b(forwarding|rp_filter|proxy_neigh)\b/;
const ROUTE_TYPES = [
  'blackhole',
  'unreachable',
  'prohibit',
  'local',
  'broadcast',
  'multicast',
  'anycast',
  'throw',
  'none',
];

export function changedPart(line: string, own: OwnNetwork): ChangedPart | undefined {
  const isDeletion = line.startsWith('Deleted ');
  const text = isDeletion ? line.slice('Deleted '.length) : line;
  const [, linkName, flags = ''] = LINK.exec(text) ?? [];
  if (linkName !== undefined) return linkPart(linkName, isDeletion || !flags.split(',').includes('UP'), own);
  const [, addressName, address = ''] = ADDRESS.exec(text) ?? [];
  if (addressName !== undefined) return addressPart(addressName, address, isDeletion, own);
  const [, table] = RULE.exec(text) ?? [];
  if (table !== undefined) return isDeletion && own.isTunnelTable(table) ? 'tunnels' : undefined;
  const [, configuredName] = NETCONF.exec(text) ?? [];
  if (configuredName !== undefined) return settingPart(configuredName, own);
  return / lladdr | (?:FAILED|INCOMPLETE|STALE|REACHABLE|DELAY|PROBE|NOARP|PERMANENT)\b/.test(text)
    ? neighbourPart(text, isDeletion, own)
    : routePart(text, isDeletion, own);
}

function linkPart(name: string, isDown: boolean, own: OwnNetwork): ChangedPart | undefined {
  if (!own.isWorkload(name)) return ofHost(name, own);
  return isDown && own.isProgrammed(name) ? 'workloads' : undefined;
}

function addressPart(
  name: string,
  address: string,
  isDeletion: boolean,
  own: OwnNetwork,
): ChangedPart | undefined {
  if (!own.isWorkload(name)) return ofHost(name, own);
  return isDeletion && own.isProgrammed(name) && own.isPeeringAddress(name, address)
    ? 'workloads'
    : undefined;
}

function ofHost(name: string, own: OwnNetwork): ChangedPart {
  return own.isTunnel(name) ? 'tunnels' : 'underlay';
}

/** Forwarding entries of tunnels look like neighbours. */
function neighbourPart(text: string, isDeletion: boolean, own: OwnNetwork): ChangedPart | undefined {
  const words = text.split(/\s+/);
  const device = wordAfter(words, 'dev') ?? '';
  if (own.isTunnel(device)) return 'tunnels';
  const neighbour = own.isProgrammed(device) ? own.neighbourOf(words[0] ?? '') : undefined;
  if (neighbour === undefined) return undefined;
  const isAsWanted =
    !isDeletion && words.includes('PERMANENT') && wordAfter(words, 'lladdr')?.toLowerCase() === neighbour.mac;
  return isAsWanted ? undefined : 'workloads';
}

function routePart(text: string, isDeletion: boolean, own: OwnNetwork): ChangedPart | undefined {
  const words = text.split(/\s+/);
  const dst = words.find((word) => !ROUTE_TYPES.includes(word)) ?? '';
  const device = wordAfter(words, 'dev') ?? '';
  const table = wordAfter(words, 'table');
  const isOurs = wordAfter(words, 'proto') === String(own.routeProtocol);
  if (table !== undefined && table !== 'main')
    return own.isTunnelTable(table) ? tablePart(isOurs, isDeletion) : undefined;
  // An addition under our number is our own writing.
  if (isOurs && !isDeletion) return undefined;
  const [address = ''] = dst.split('/');
  const isSingle = !dst.includes('/') || dst.endsWith('/32') || dst.endsWith('/128');
  if (isSingle && own.neighbourOf(address) !== undefined) return 'workloads';
  if (own.isTunnelNet(dst)) return 'tunnels';
  const isForeign = !isDeletion && own.isWorkload(device) && wordAfter(words, 'proto') !== 'kernel';
  if (isForeign) return 'foreignRoutes';
  return isOurs ? (own.isWorkload(device) ? undefined : 'tunnels') : undefined;
}

/** Of a workload's new interface they are looked at when it is programmed. */
function settingPart(name: string, own: OwnNetwork): ChangedPart | undefined {
  return own.isWorkload(name) && !own.isProgrammed(name) ? undefined : 'sysctls';
}

/** Of a route in a table of ours. */
function tablePart(isOurs: boolean, isDeletion: boolean): ChangedPart | undefined {
  return isOurs && !isDeletion ? undefined : 'tunnels';
}

function wordAfter(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
}
