// What conntrack tells and is told (linux/netfilter/nfnetlink_conntrack.h): of a flow that has ended, its tuple, its mark, and what it
// has counted; those that there are, to take bits of their marks away or to end them.

import {
  type Attribute,
  encodeAttributes,
  findAttribute,
  NESTED,
  NetlinkFlag,
  type NetlinkMessage,
} from './message.ts';

/** Multicast group of ends. */
export const CONNTRACK_ENDS = 3;
const IPCTNL_MSG_CT_NEW = (1 << 8) | 0;
const IPCTNL_MSG_CT_GET = (1 << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (1 << 8) | 2;
const HEADER_BYTES = 4;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_MARK = 8;
const CTA_COUNTERS_ORIG = 9;
const CTA_COUNTERS_REPLY = 10;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_MARK_MASK = 21;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_ICMP_TYPE = 5;
const CTA_PROTO_ICMPV6_TYPE = 8;
const CTA_COUNTERS_PACKETS = 1;
const CTA_COUNTERS_BYTES = 2;
const NOTHING = Buffer.alloc(0);

export interface EndedFlow {
  readonly mark: number;
  /** Bytes of the address of who began it. */
  readonly source: Buffer;
  /** Of who answered: behind a DNAT. */
  readonly destination: Buffer;
  readonly protocol: number;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  readonly icmp: { readonly type: number; readonly code: number } | undefined;
  readonly packets: number;
  readonly bytes: number;
  readonly replyPackets: number;
  readonly replyBytes: number;
}

/** Of all entries, of every family. */
export function dumpFlows(): NetlinkMessage {
  return {
    type: IPCTNL_MSG_CT_GET,
    flags: NetlinkFlag.request | NetlinkFlag.dump,
    body: Buffer.alloc(HEADER_BYTES),
  };
}

/** Of an entry in a dump; undefined if it carries none. */
export function decodeMark({ type, body }: NetlinkMessage): number | undefined {
  if (type !== IPCTNL_MSG_CT_NEW) return undefined;
  return findAttribute(body.subarray(HEADER_BYTES), CTA_MARK)?.readUInt32BE(0);
}

/** Bytes of the addresses of an entry in a dump: both ends as it began, and who answers. They share the message's buffer. */
export function decodeAddresses({ type, body }: NetlinkMessage): readonly Buffer[] {
  if (type !== IPCTNL_MSG_CT_NEW) return [];
  const attributes = body.subarray(HEADER_BYTES);
  const address = (tuple: number, v4: number, v6: number): readonly Buffer[] => {
    const addresses = findAttribute(findAttribute(attributes, tuple) ?? NOTHING, CTA_TUPLE_IP) ?? NOTHING;
    const found = findAttribute(addresses, v4) ?? findAttribute(addresses, v6);
    return found === undefined ? [] : [found];
  };
  return [
    ...address(CTA_TUPLE_ORIG, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
    ...address(CTA_TUPLE_ORIG, CTA_IP_V4_DST, CTA_IP_V6_DST),
    ...address(CTA_TUPLE_REPLY, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
  ];
}

/** Takes the masked bits from the mark of an entry in a dump. */
export function clearMark(entry: NetlinkMessage, mask: number): NetlinkMessage {
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(mask >>> 0, 0);
  return ofEntry(IPCTNL_MSG_CT_NEW, entry, [
    { type: CTA_MARK, value: Buffer.alloc(4) },
    { type: CTA_MARK_MASK, value: bits },
  ]);
}

/** Ends an entry in a dump. */
export function deleteFlow(entry: NetlinkMessage): NetlinkMessage {
  // Not one that has come since with the same tuple.
  const id = findAttribute(entry.body.subarray(HEADER_BYTES), CTA_ID);
  return ofEntry(IPCTNL_MSG_CT_DELETE, entry, id === undefined ? [] : [{ type: CTA_ID, value: id }]);
}

/** An entry is known by its tuple, within its zone. */
function ofEntry(type: number, { body }: NetlinkMessage, attributes: readonly Attribute[]): NetlinkMessage {
  const known = [CTA_TUPLE_ORIG, CTA_ZONE].flatMap((wanted) => {
    const value = findAttribute(body.subarray(HEADER_BYTES), wanted);
    if (value === undefined) return [];
    return { type: wanted === CTA_TUPLE_ORIG ? wanted | NESTED : wanted, value };
  });
  const header = body.subarray(0, HEADER_BYTES);
  return {
    type,
    flags: NetlinkFlag.request,
    body: Buffer.concat([header, encodeAttributes([...known, ...attributes])]),
  };
}

/** Undefined for what is no end, or tells too little. */
export function decodeEndedFlow({ type, body }: NetlinkMessage): EndedFlow | undefined {
  if (type !== IPCTNL_MSG_CT_DELETE) return undefined;
  const attributes = body.subarray(HEADER_BYTES);
  const original = tupleOf(findAttribute(attributes, CTA_TUPLE_ORIG));
  const reply = tupleOf(findAttribute(attributes, CTA_TUPLE_REPLY));
  const mark = findAttribute(attributes, CTA_MARK);
  if (original === undefined || reply === undefined || mark === undefined) return undefined;
  const counts = countsOf(findAttribute(attributes, CTA_COUNTERS_ORIG));
  const replyCounts = countsOf(findAttribute(attributes, CTA_COUNTERS_REPLY));
  return {
    mark: mark.readUInt32BE(0),
    source: original.source,
    destination: reply.source,
    protocol: original.protocol,
    sourcePort: original.sourcePort,
    destinationPort: reply.sourcePort,
    icmp: original.icmp,
    packets: counts.packets,
    bytes: counts.bytes,
    replyPackets: replyCounts.packets,
    replyBytes: replyCounts.bytes,
  };
}

interface Tuple {
  readonly source: Buffer;
  readonly protocol: number;
  readonly sourcePort: number | undefined;
  readonly icmp: EndedFlow['icmp'];
}

function tupleOf(attributes: Buffer | undefined): Tuple | undefined {
  if (attributes === undefined) return undefined;
  const addresses = findAttribute(attributes, CTA_TUPLE_IP) ?? NOTHING;
  const protocol = findAttribute(attributes, CTA_TUPLE_PROTO) ?? NOTHING;
  const source = findAttribute(addresses, CTA_IP_V4_SRC) ?? findAttribute(addresses, CTA_IP_V6_SRC);
  const number = findAttribute(protocol, CTA_PROTO_NUM)?.readUInt8(0);
  if (source === undefined || number === undefined) return undefined;
  const typeAttribute = [CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMPV6_TYPE].find(
    (wanted) => findAttribute(protocol, wanted) !== undefined,
  );
  return {
    // Messages share the socket's buffer.
    source: Buffer.from(source),
    protocol: number,
    sourcePort: findAttribute(protocol, CTA_PROTO_SRC_PORT)?.readUInt16BE(0),
    icmp:
      typeAttribute === undefined
        ? undefined
        : {
            type: findAttribute(protocol, typeAttribute)?.readUInt8(0) ?? 0,
            // The code's attribute follows the type's.
            code: findAttribute(protocol, typeAttribute + 1)?.readUInt8(0) ?? 0,
          },
  };
}

function countsOf(attributes: Buffer | undefined): { readonly packets: number; readonly bytes: number } {
  const value = (wanted: number): number => {
    const bytes = attributes === undefined ? undefined : findAttribute(attributes, wanted);
    return bytes === undefined ? 0 : Number(bytes.readBigUInt64BE(0));
  };
  return { packets: value(CTA_COUNTERS_PACKETS), bytes: value(CTA_COUNTERS_BYTES) };
}
