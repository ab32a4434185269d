// Dumps of the routing family (linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h, fib_rules.h): links, addresses, routes, permanent
// neighbours and rules, in the words of `ip -N -d -j`, of which they have what is read here. The kernel picks routes by protocol and
// table itself where the socket checks strictly: a host may have a million of others'.

import { type Family, familyBits, formatIpBytes } from '../../../../lib/net/ip.ts';
import {
  encodeAttributes,
  findAttribute,
  NetlinkFlag,
  type NetlinkMessage,
  textOf,
  uint32,
} from './message.ts';
import {
  AF_INET,
  AF_INET6,
  IFA_ADDRESS,
  IFA_LOCAL,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  NDA_DST,
  NDA_LLADDR,
  NUD_PERMANENT,
  RTA_DST,
  RTA_GATEWAY,
  RTA_OIF,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from './route-protocol.ts';

const RTM_GETADDR = 22;
const RTM_GETNEIGH = 30;
const RTM_NEWRULE = 32;
const RTM_GETRULE = 34;

const LINK_HEADER_BYTES = 16;
const IFLA_EXT_MASK = 29;
const SKIP_STATISTICS = 8;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const MAC_BYTES = 6;

const ADDRESS_HEADER_BYTES = 8;

const ROUTE_HEADER_BYTES = 12;
const RTA_TABLE = 15;
const LAST_SHORT_TABLE = 255;
/** `ip` does not name the first. */
const ROUTE_TYPES = ['unspec', 'unicast', 'local', 'broadcast', 'anycast', 'multicast', 'blackhole'].concat(
  'unreachable',
  'prohibit',
  'throw',
  'nat',
);

const NEIGHBOUR_HEADER_BYTES = 12;

const RULE_HEADER_BYTES = 12;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FIB_RULE_INVERT = 2;

const SCOPES: Readonly<Record<number, string>> = { 0: 'global', 200: 'site', 253: 'link', 254: 'host' };

export const MAIN_TABLE = 254;

export interface ListedLink {
  readonly index: number;
  readonly ifname: string;
  /** `UP` or nothing. */
  readonly flags: readonly string[];
  readonly mtu: number;
  /** Of those whose address is a MAC. */
  readonly address?: string;
  readonly linkinfo?: {
    readonly info_kind: string;
    /** Of VXLAN. */
    readonly info_data?: {
      readonly id?: number;
      readonly port?: number;
      readonly local?: string;
      readonly local6?: string;
      /** Index of the interface below. */
      readonly link?: number;
    };
  };
}

export interface ListedAddress {
  readonly index: number;
  readonly family: 'inet' | 'inet6';
  readonly local: string;
  readonly scope: string;
}

export interface ListedRoute {
  readonly type: string;
  /** Without length if it is a single address; `default`. */
  readonly dst: string;
  readonly gateway?: string;
  /** Index of the interface; none for a route over several. */
  readonly dev?: number;
}

export interface ListedNeighbour {
  readonly dst: string;
  readonly dev: number;
  readonly lladdr?: string;
}

export interface ListedRule {
  readonly priority: number;
  /** There if it is for what does not match. */
  readonly not?: null;
  readonly fwmark?: string;
  readonly table: string;
}

export function dumpLinks(): NetlinkMessage {
  const attributes = encodeAttributes([{ type: IFLA_EXT_MASK, value: uint32(SKIP_STATISTICS) }]);
  return dump(RTM_GETLINK, Buffer.concat([Buffer.alloc(LINK_HEADER_BYTES), attributes]));
}

/** Undefined, as of the others, for what is none. */
export function decodeListedLink({ type, body }: NetlinkMessage): ListedLink | undefined {
  if (type !== RTM_NEWLINK || body.length < LINK_HEADER_BYTES) return undefined;
  const attributes = body.subarray(LINK_HEADER_BYTES);
  const name = findAttribute(attributes, IFLA_IFNAME);
  if (name === undefined) return undefined;
  const mac = findAttribute(attributes, IFLA_ADDRESS);
  const info = findAttribute(attributes, IFLA_LINKINFO);
  const kind = info && findAttribute(info, IFLA_INFO_KIND);
  return {
    index: body.readInt32LE(4),
    ifname: textOf(name),
    flags: (body.readUInt32LE(8) & IFF_UP) === 0 ? [] : ['UP'],
    mtu: findAttribute(attributes, IFLA_MTU)?.readUInt32LE(0) ?? 0,
    ...(mac?.length === MAC_BYTES ? { address: macOf(mac) } : {}),
    ...(info === undefined || kind === undefined ? {} : { linkinfo: linkInfo(textOf(kind), info) }),
  };
}

function linkInfo(kind: string, info: Buffer): NonNullable<ListedLink['linkinfo']> {
  const data = findAttribute(info, IFLA_INFO_DATA);
  if (kind !== 'vxlan' || data === undefined) return { info_kind: kind };
  const number = (type: number): number | undefined => findAttribute(data, type)?.readUInt32LE(0);
  const local = addressIn(data, IFLA_VXLAN_LOCAL);
  const local6 = addressIn(data, IFLA_VXLAN_LOCAL6);
  const id = number(IFLA_VXLAN_ID);
  const port = findAttribute(data, IFLA_VXLAN_PORT)?.readUInt16BE(0);
  const link = number(IFLA_VXLAN_LINK);
  return {
    info_kind: kind,
    info_data: {
      ...(id === undefined ? {} : { id }),
      ...(port === undefined ? {} : { port }),
      ...(local === undefined ? {} : { local }),
      ...(local6 === undefined ? {} : { local6 }),
      ...(link === undefined ? {} : { link }),
    },
  };
}

export function dumpAddresses(): NetlinkMessage {
  return dump(RTM_GETADDR, Buffer.alloc(ADDRESS_HEADER_BYTES));
}

export function decodeListedAddress({ type, body }: NetlinkMessage): ListedAddress | undefined {
  if (type !== RTM_NEWADDR || body.length < ADDRESS_HEADER_BYTES) return undefined;
  const attributes = body.subarray(ADDRESS_HEADER_BYTES);
  // Where there is a peer, the other one is the peer's.
  const local = addressIn(attributes, IFA_LOCAL) ?? addressIn(attributes, IFA_ADDRESS);
  if (local === undefined) return undefined;
  const scope = body.readUInt8(3);
  return {
    index: body.readUInt32LE(4),
    family: body.readUInt8(0) === AF_INET6 ? 'inet6' : 'inet',
    local,
    scope: SCOPES[scope] ?? String(scope),
  };
}

export function dumpRoutes(family: Family, protocol: number, table: number): NetlinkMessage {
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  header.writeUInt8(numberOf(family), 0);
  header.writeUInt8(table > LAST_SHORT_TABLE ? 0 : table, 4);
  header.writeUInt8(protocol, 5);
  const attributes = encodeAttributes(
    table > LAST_SHORT_TABLE ? [{ type: RTA_TABLE, value: uint32(table) }] : [],
  );
  return dump(RTM_GETROUTE, Buffer.concat([header, attributes]));
}

/** Undefined also for one of another family, protocol or table: a kernel without the family tells of what it has. */
export function decodeListedRoute(
  { type, body }: NetlinkMessage,
  family: Family,
  protocol: number,
  table: number,
): ListedRoute | undefined {
  if (type !== RTM_NEWROUTE || body.length < ROUTE_HEADER_BYTES) return undefined;
  if (body.readUInt8(0) !== numberOf(family) || body.readUInt8(5) !== protocol) return undefined;
  const attributes = body.subarray(ROUTE_HEADER_BYTES);
  const ownTable = findAttribute(attributes, RTA_TABLE)?.readUInt32LE(0) ?? body.readUInt8(4);
  if (ownTable !== table) return undefined;
  const length = body.readUInt8(1);
  const base = addressIn(attributes, RTA_DST);
  const single = length === familyBits(family);
  const gateway = addressIn(attributes, RTA_GATEWAY);
  const dev = findAttribute(attributes, RTA_OIF)?.readUInt32LE(0);
  const kind = body.readUInt8(7);
  return {
    type: ROUTE_TYPES[kind] ?? String(kind),
    dst: base === undefined ? 'default' : single ? base : `${base}/${length}`,
    ...(gateway === undefined ? {} : { gateway }),
    ...(dev === undefined ? {} : { dev }),
  };
}

export function dumpNeighbours(): NetlinkMessage {
  return dump(RTM_GETNEIGH, Buffer.alloc(NEIGHBOUR_HEADER_BYTES));
}

/** Undefined also for one that is not permanent. */
export function decodePermanentNeighbour({ type, body }: NetlinkMessage): ListedNeighbour | undefined {
  if (type !== RTM_NEWNEIGH || body.length < NEIGHBOUR_HEADER_BYTES) return undefined;
  if ((body.readUInt16LE(8) & NUD_PERMANENT) === 0) return undefined;
  const attributes = body.subarray(NEIGHBOUR_HEADER_BYTES);
  const dst = addressIn(attributes, NDA_DST);
  const mac = findAttribute(attributes, NDA_LLADDR);
  if (dst === undefined) return undefined;
  return { dst, dev: body.readInt32LE(4), ...(mac?.length === MAC_BYTES ? { lladdr: macOf(mac) } : {}) };
}

export function dumpRules(family: Family): NetlinkMessage {
  const header = Buffer.alloc(RULE_HEADER_BYTES);
  header.writeUInt8(numberOf(family), 0);
  return dump(RTM_GETRULE, header);
}

export function decodeListedRule({ type, body }: NetlinkMessage, family: Family): ListedRule | undefined {
  if (type !== RTM_NEWRULE || body.length < RULE_HEADER_BYTES) return undefined;
  if (body.readUInt8(0) !== numberOf(family)) return undefined;
  const attributes = body.subarray(RULE_HEADER_BYTES);
  const number = (wanted: number): number | undefined => findAttribute(attributes, wanted)?.readUInt32LE(0);
  const mark = number(FRA_FWMARK);
  return {
    priority: number(FRA_PRIORITY) ?? 0,
    ...((body.readUInt32LE(8) & FIB_RULE_INVERT) === 0 ? {} : { not: null }),
    ...(mark === undefined ? {} : { fwmark: `0x${mark.toString(16)}` }),
    table: String(number(FRA_TABLE) ?? body.readUInt8(4)),
  };
}

function dump(type: number, body: Buffer): NetlinkMessage {
  return { type, flags: NetlinkFlag.request | NetlinkFlag.dump, body };
}

function numberOf(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function addressIn(attributes: Buffer, type: number): string | undefined {
  const bytes = findAttribute(attributes, type);
  return bytes?.length === 4 || bytes?.length === 16 ? formatIpBytes(bytes) : undefined;
}

function macOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}
