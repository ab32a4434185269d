// Requests of the routing family (linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h) that a workload's pair of interfaces
// needs, and the two answers that are read.

import {
  type Attribute,
  encodeAttributes,
  findAttribute,
  NetlinkFlag,
  type NetlinkMessage,
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

const RTM_DELLINK = 17;

const IFLA_NET_NS_FD = 28;
const VETH_INFO_PEER = 1;
/** With `up`: there is a carrier and the queue is open. Before that the kernel drops what is sent, though the link is up. */
const IFF_RUNNING = 0x40;

/** No duplicate address detection. */
const IFA_F_NODAD = 2;

const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
/** The entry that a lookup finds, and not what becomes of it. */
const RTM_F_FIB_MATCH = 0x2000;

const { request, ack, create, exclusive, replace } = NetlinkFlag;

/** In network byte order: 4 or 16 bytes. */
export type AddressBytes = Buffer;

export interface LinkAtBirth {
  readonly name: string;
  /** `ee:ee:ee:ee:ee:ee` */
  readonly mac: string;
  readonly mtu: number;
}

/** A pair of which the peer is born in the network namespace of the open file. */
export function createPair(link: LinkAtBirth, peer: LinkAtBirth, peerNamespaceFd: number): NetlinkMessage {
  const peerBody = Buffer.concat([
    linkHeader(0, 0),
    encodeAttributes([...birth(peer), { type: IFLA_NET_NS_FD, value: uint32(peerNamespaceFd) }]),
  ]);
  const info: readonly Attribute[] = [
    { type: IFLA_INFO_KIND, value: Buffer.from('veth') },
    { type: IFLA_INFO_DATA, value: [{ type: VETH_INFO_PEER, value: peerBody }] },
  ];
  const attributes = encodeAttributes([...birth(link), { type: IFLA_LINKINFO, value: info }]);
  return {
    type: RTM_NEWLINK,
    flags: request | ack | create | exclusive,
    body: Buffer.concat([linkHeader(0, 0), attributes]),
  };
}

export function raiseLink(index: number): NetlinkMessage {
  return { type: RTM_NEWLINK, flags: request | ack, body: linkHeader(index, IFF_UP) };
}

/** Refused with ENODEV where there is none of the name. */
export function deleteLink(name: string): NetlinkMessage {
  return { type: RTM_DELLINK, flags: request | ack, body: Buffer.concat([linkHeader(0, 0), nameOf(name)]) };
}

/** Answered by a link, or refused with ENODEV. */
export function getLink(name: string): NetlinkMessage {
  return { type: RTM_GETLINK, flags: request, body: Buffer.concat([linkHeader(0, 0), nameOf(name)]) };
}

/** The same by its index. */
export function getLinkAt(index: number): NetlinkMessage {
  return { type: RTM_GETLINK, flags: request, body: linkHeader(index, 0) };
}

export interface LinkView {
  readonly index: number;
  /** Up and working. */
  readonly isUp: boolean;
}

/** Undefined if it is the answer to something else. */
export function decodeLink(message: NetlinkMessage | undefined): LinkView | undefined {
  if (message?.type !== RTM_NEWLINK || message.body.length < 16) return undefined;
  const isUp = (message.body.readUInt32LE(8) & (IFF_UP | IFF_RUNNING)) === (IFF_UP | IFF_RUNNING);
  return { index: message.body.readInt32LE(4), isUp };
}

/** A single address, without duplicate address detection. */
export function addAddress(index: number, address: AddressBytes): NetlinkMessage {
  const header = Buffer.alloc(8);
  header.writeUInt8(familyOf(address), 0);
  header.writeUInt8(address.length * 8, 1);
  header.writeUInt8(address.length === 16 ? IFA_F_NODAD : 0, 2);
  header.writeUInt32LE(index, 4);
  const attributes = encodeAttributes([
    { type: IFA_LOCAL, value: address },
    { type: IFA_ADDRESS, value: address },
  ]);
  return {
    type: RTM_NEWADDR,
    flags: request | ack | create | exclusive,
    body: Buffer.concat([header, attributes]),
  };
}

export function setPermanentNeighbour(index: number, address: AddressBytes, mac: string): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(familyOf(address), 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  const attributes = encodeAttributes([
    { type: NDA_DST, value: address },
    { type: NDA_LLADDR, value: macBytes(mac) },
  ]);
  return {
    type: RTM_NEWNEIGH,
    flags: request | ack | create | replace,
    body: Buffer.concat([header, attributes]),
  };
}

export interface RouteParts {
  readonly destination: AddressBytes;
  readonly length: number;
  /** Without one the destination is on the link. */
  readonly gateway?: AddressBytes;
}

export function setRoute(index: number, { destination, length, gateway }: RouteParts): NetlinkMessage {
  const isOnLink = gateway === undefined && destination.length === 4;
  const header = routeHeader(familyOf(destination), length, isOnLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
  const attributes = encodeAttributes([
    { type: RTA_DST, value: destination },
    ...(gateway === undefined ? [] : [{ type: RTA_GATEWAY, value: gateway }]),
    { type: RTA_OIF, value: uint32(index) },
  ]);
  return {
    type: RTM_NEWROUTE,
    flags: request | ack | create | replace,
    body: Buffer.concat([header, attributes]),
  };
}

/** Answered by the route that serves the address, or refused where none does. */
export function getRoute(destination: AddressBytes): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(familyOf(destination), 0);
  header.writeUInt8(destination.length * 8, 1);
  header.writeUInt32LE(RTM_F_FIB_MATCH, 8);
  const attributes = encodeAttributes([{ type: RTA_DST, value: destination }]);
  return { type: RTM_GETROUTE, flags: request, body: Buffer.concat([header, attributes]) };
}

export interface RouteView {
  readonly length: number;
  readonly protocol: number;
  /** Index of the interface; undefined for a route over several. */
  readonly interfaceIndex: number | undefined;
}

/** Undefined if it is the answer to something else. */
export function decodeRoute(message: NetlinkMessage | undefined): RouteView | undefined {
  if (message?.type !== RTM_NEWROUTE || message.body.length < 12) return undefined;
  const { body } = message;
  const interfaceIndex = findAttribute(body.subarray(12), RTA_OIF)?.readUInt32LE(0);
  return { length: body.readUInt8(1), protocol: body.readUInt8(5), interfaceIndex };
}

function linkHeader(index: number, flags: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(flags, 8);
  // Which flags are meant.
  header.writeUInt32LE(flags, 12);
  return header;
}

function routeHeader(family: number, length: number, scope: number): Buffer {
  const header = Buffer.alloc(12);
  header.set([family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
  return header;
}

function birth({ name, mac, mtu }: LinkAtBirth): readonly Attribute[] {
  return [
    { type: IFLA_IFNAME, value: text(name) },
    { type: IFLA_ADDRESS, value: macBytes(mac) },
    { type: IFLA_MTU, value: uint32(mtu) },
  ];
}

function nameOf(name: string): Buffer {
  return encodeAttributes([{ type: IFLA_IFNAME, value: text(name) }]);
}

function familyOf(address: AddressBytes): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}
