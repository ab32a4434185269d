// Reader of captures (pcap, pcapng): the octets of each direction of a BGP connection, put together from its segments.

import { readFileSync } from 'node:fs';

const BGP_PORT = 179;
/** Octets before the IP header by link type (Ethernet, PPP, raw IP, Linux cooked). */
const LINK_HEADER: Readonly<Record<number, number>> = { 1: 14, 9: 4, 101: 0, 113: 16 };
const JUNIPER = 178;

interface Segment {
  readonly flow: string;
  readonly reverse: string;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** What one side of a connection sent, without a gap. */
export interface BgpStream {
  /** Addresses and ports, the sender's first. */
  readonly flow: string;
  /** The flow of the other side. */
  readonly reverse: string;
  readonly octets: Uint8Array;
}

/**
 * The streams of a capture. A segment that does not follow the one before it (lost, or a new
 * connection between the same ports) begins another stream; one that comes again is left out.
 */
export function bgpStreams(path: string): BgpStream[] {
  const open = new Map<string, { next: number; parts: Buffer[] }>();
  const streams: { flow: string; reverse: string; parts: Buffer[] }[] = [];
  const seen = new Set<string>();
  for (const { flow, reverse, sequence, payload } of segments(path)) {
    const identity = `${flow} ${sequence} ${payload.toString('latin1')}`;
    if (payload.length === 0 || seen.has(identity)) continue;
    seen.add(identity);
    const stream = open.get(flow);
    const next = (sequence + payload.length) >>> 0;
    if (stream?.next === sequence) {
      stream.parts.push(payload);
      stream.next = next;
    } else {
      const parts = [payload];
      streams.push({ flow, reverse, parts });
      open.set(flow, { next, parts });
    }
  }
  return streams.map(({ flow, reverse, parts }) => ({ flow, reverse, octets: Buffer.concat(parts) }));
}

function* segments(path: string): IterableIterator<Segment> {
  for (const { link, octets } of packets(readFileSync(path))) {
    const segment = segmentOf(octets.subarray(linkHeader(link, octets)));
    if (segment !== undefined) yield segment;
  }
}

interface Packet {
  readonly link: number;
  readonly octets: Buffer;
}

function packets(file: Buffer): IterableIterator<Packet> {
  return file.readUInt32LE(0) === PcapngBlock.section ? pcapngPackets(file) : pcapPackets(file);
}

/** Little-endian, as all captures here are. */
function* pcapPackets(file: Buffer): IterableIterator<Packet> {
  const link = file.readUInt32LE(20);
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    yield { link, octets: file.subarray(at + 16, at + 16 + length) };
    at += 16 + length;
  }
}

const PcapngBlock = { section: 0x0a0d0d0a, interface: 1, enhancedPacket: 6 } as const;

function* pcapngPackets(file: Buffer): IterableIterator<Packet> {
  const links: number[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const type = file.readUInt32LE(at);
    if (type === PcapngBlock.section) links.length = 0;
    if (type === PcapngBlock.interface) links.push(file.readUInt16LE(at + 8));
    if (type === PcapngBlock.enhancedPacket) {
      const link = links[file.readUInt32LE(at + 8)] ?? 0;
      yield { link, octets: file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20)) };
    }
    at += file.readUInt32LE(at + 4);
  }
}

function linkHeader(link: number, octets: Buffer): number {
  if (link !== JUNIPER) return LINK_HEADER[link] ?? 0;
  // A header of a length that varies; the one packet of this kind here is found by its first octets.
  const ip = octets.indexOf(Buffer.of(0x45, 0xc0));
  return ip === -1 ? octets.length : ip;
}

/** A TCP segment to or from the BGP port, as far as it was captured. */
function segmentOf(packet: Buffer): Segment | undefined {
  const version = (packet[0] ?? 0) >>> 4;
  const isIpv4 = version === 4 && packet[9] === 6;
  const isIpv6 = version === 6 && packet[6] === 6;
  if (!isIpv4 && !isIpv6) return undefined;
  const start = isIpv4 ? ((packet[0] ?? 0) & 15) * 4 : 40;
  const end = isIpv4 ? packet.readUInt16BE(2) : 40 + packet.readUInt16BE(4);
  const tcp = packet.subarray(start, Math.min(end, packet.length));
  if (tcp.length < 20) return undefined;
  const [from, to] = [tcp.readUInt16BE(0), tcp.readUInt16BE(2)];
  if (from !== BGP_PORT && to !== BGP_PORT) return undefined;
  const [at, size] = isIpv4 ? [12, 4] : [8, 16];
  const source = `${packet.toString('hex', at, at + size)}:${from}`;
  const destination = `${packet.toString('hex', at + size, at + 2 * size)}:${to}`;
  return {
    flow: `${source} ${destination}`,
    reverse: `${destination} ${source}`,
    sequence: tcp.readUInt32BE(4),
    payload: tcp.subarray(((tcp[12] ?? 0) >>> 4) * 4),
  };
}
