// Packets as octets, IP header and checksums included (RFC 791, 8200, 9293, 768, 792, 4443, 9260), so that one raw socket sends any of
// them. Each carries a number of four octets by which its receiver knows it.

import { ipBytes, parseIp } from '../../../lib/net/ip.ts';
import { type FuzzPacket, Proto } from './packets.ts';

/** What a packet is in its flow: the first, another in the same direction, or one in the other. */
export type FlowPart = 'original' | 'reply';

const TTL = 64;
const ICMP_ANSWERS: Readonly<Record<number, number>> = { 8: 0, 13: 14, 17: 18, 128: 129 };
const TcpFlags = { syn: 0x02, synAck: 0x12 } as const;
const SCTP_INIT = 1;
const SCTP_INIT_ACK = 2;

/** `flow` is the number of the flow's first packet, `id` this one's. A reply goes from the flow's destination to its source. */
export function rawPacket(packet: FuzzPacket, id: number, flow: number, part: FlowPart): Buffer {
  const isReply = part === 'reply';
  const source = bytesOf(isReply ? packet.destination : packet.source);
  const destination = bytesOf(isReply ? packet.source : packet.destination);
  const { protocol } = packet;
  const body = bodyOf(packet, id, flow, isReply);
  if (protocol !== Proto.sctp) {
    const at = { [Proto.tcp]: 16, [Proto.udp]: 6, [Proto.icmp]: 2, [Proto.icmpv6]: 2 }[protocol];
    // ICMP of IPv4 alone knows no pseudo header.
    const pseudo =
      protocol === Proto.icmp ? Buffer.alloc(0) : pseudoHeader(source, destination, protocol, body.length);
    if (at !== undefined) body.writeUInt16BE(internetChecksum(Buffer.concat([pseudo, body])), at);
  }
  return Buffer.concat([ipHeader(source, destination, protocol, body.length), body]);
}

/** The number in what a raw socket of the protocol has received; its IPv4 header comes along, an IPv6 one does not. */
export function packetId(received: Buffer, protocol: number, family: 4 | 6): number | undefined {
  const body = family === 4 ? received.subarray(((received[0] ?? 0) & 15) * 4) : received;
  const at = ID_AT[protocol] ?? 0;
  return body.length >= at + 4 ? body.readUInt32BE(at) : undefined;
}

const ID_AT: Readonly<Record<number, number>> = {
  [Proto.tcp]: 4,
  [Proto.udp]: 8,
  [Proto.icmp]: 8,
  [Proto.icmpv6]: 8,
  [Proto.sctp]: 16,
};

function bodyOf(packet: FuzzPacket, id: number, flow: number, isReply: boolean): Buffer {
  const { protocol, icmp, sourcePort = 0, destinationPort = 0 } = packet;
  const ports = isReply ? [destinationPort, sourcePort] : [sourcePort, destinationPort];
  switch (protocol) {
    case Proto.tcp:
      return tcp(ports, id, isReply ? { acknowledges: flow + 1 } : {});
    case Proto.udp:
      return udp(ports, id);
    case Proto.sctp:
      return sctp(ports, id, isReply ? flow : 0);
    case Proto.icmp:
    case Proto.icmpv6:
      return echo(icmp ?? { type: 8, code: 0 }, id, flow, isReply);
    default:
      return numberOnly(id);
  }
}

function tcp(
  ports: readonly number[],
  id: number,
  { acknowledges }: { readonly acknowledges?: number },
): Buffer {
  const body = Buffer.alloc(20);
  body.writeUInt16BE(ports[0] ?? 0, 0);
  body.writeUInt16BE(ports[1] ?? 0, 2);
  body.writeUInt32BE(id, 4);
  body.writeUInt32BE(acknowledges ?? 0, 8);
  body[12] = 5 << 4;
  body[13] = acknowledges === undefined ? TcpFlags.syn : TcpFlags.synAck;
  body.writeUInt16BE(1024, 14);
  return body;
}

function udp(ports: readonly number[], id: number): Buffer {
  const body = Buffer.alloc(12);
  body.writeUInt16BE(ports[0] ?? 0, 0);
  body.writeUInt16BE(ports[1] ?? 0, 2);
  body.writeUInt16BE(body.length, 4);
  body.writeUInt32BE(id, 8);
  return body;
}

function echo(
  icmp: { readonly type: number; readonly code: number },
  id: number,
  flow: number,
  isReply: boolean,
): Buffer {
  // Timestamps and masks are longer than echoes: as long as the longest.
  const body = Buffer.alloc(20);
  body[0] = isReply ? (ICMP_ANSWERS[icmp.type] ?? icmp.type) : icmp.type;
  body[1] = icmp.code;
  body.writeUInt16BE(flow & 0xffff, 4);
  body.writeUInt32BE(id, 8);
  return body;
}

function sctp(ports: readonly number[], id: number, verificationTag: number): Buffer {
  const body = Buffer.alloc(32);
  body.writeUInt16BE(ports[0] ?? 0, 0);
  body.writeUInt16BE(ports[1] ?? 0, 2);
  body.writeUInt32BE(verificationTag, 4);
  body[12] = verificationTag === 0 ? SCTP_INIT : SCTP_INIT_ACK;
  body.writeUInt16BE(20, 14);
  body.writeUInt32BE(id, 16);
  body.writeUInt32BE(65_536, 20);
  body.writeUInt16BE(1, 24);
  body.writeUInt16BE(1, 26);
  body.writeUInt32BE(id, 28);
  body.writeUInt32LE(crc32c(body), 8);
  return body;
}

function numberOnly(id: number): Buffer {
  const body = Buffer.alloc(20);
  body.writeUInt32BE(id, 0);
  return body;
}

function ipHeader(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): Buffer {
  if (source.length === 4) {
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header.writeUInt16BE(20 + length, 2);
    header[8] = TTL;
    header[9] = protocol;
    header.set(source, 12);
    header.set(destination, 16);
    header.writeUInt16BE(internetChecksum(header), 10);
    return header;
  }
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(length, 4);
  header[6] = protocol;
  header[7] = TTL;
  header.set(source, 8);
  header.set(destination, 24);
  return header;
}

function pseudoHeader(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): Buffer {
  const rest = Buffer.alloc(4);
  rest[1] = protocol;
  rest.writeUInt16BE(length, 2);
  return Buffer.concat([source, destination, rest]);
}

/** RFC 1071. */
export function internetChecksum(octets: Buffer): number {
  let sum = 0;
  for (let at = 0; at < octets.length; at += 2) sum += ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  // UDP's zero says that there is none.
  return ~sum & 0xffff || 0xffff;
}

const CRC32C = Array.from({ length: 256 }, (_, octet) => {
  let value = octet;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

function crc32c(octets: Buffer): number {
  let value = 0xffffffff;
  for (const octet of octets) value = (CRC32C[(value ^ octet) & 0xff] ?? 0) ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function bytesOf(address: string): Uint8Array {
  const ip = parseIp(address);
  if (ip === undefined) throw new Error(`no address: ${address}`);
  return ipBytes(ip);
}
