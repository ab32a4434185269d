// The file format that tcpdump reads: a header, then each frame after a record header (draft-ietf-opsawg-pcap, classic form,
// little endian). And which Ethernet frames carry TCP segments of a port (RFC 894, 791, 8200, 9293). Pure.

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const LINKTYPE_ETHERNET = 1;
/** Longest part of a frame that is kept. */
export const SNAP_LENGTH = 65_535;

const ETHERTYPE_OFFSET = 12;
const ETHERNET_HEADER = 14;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const IPV6_HEADER = 40;
const PROTOCOL_TCP = 6;

/** Opens the file. */
export function encodePcapHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(MAGIC_MICROSECONDS, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(SNAP_LENGTH, 16);
  header.writeUInt32LE(LINKTYPE_ETHERNET, 20);
  return header;
}

/** One frame, captured at `timeMs` (milliseconds since 1970); `length` is its length on the wire. */
export function encodePcapRecord(frame: Uint8Array, length: number, timeMs: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(Math.floor(timeMs / 1000), 0);
  header.writeUInt32LE(Math.floor((timeMs % 1000) * 1000), 4);
  header.writeUInt32LE(frame.length, 8);
  header.writeUInt32LE(length, 12);
  return Buffer.concat([header, frame]);
}

/** True if the frame is a TCP segment from or to `port`. IPv6 extension headers are not followed: BGP has none. */
export function isTcpOfPort(frame: Buffer, port: number): boolean {
  const start = tcpOffset(frame);
  if (start === undefined || frame.length < start + 4) return false;
  return frame.readUInt16BE(start) === port || frame.readUInt16BE(start + 2) === port;
}

function tcpOffset(frame: Buffer): number | undefined {
  if (frame.length < ETHERNET_HEADER + IPV6_HEADER) return undefined;
  const etherType = frame.readUInt16BE(ETHERTYPE_OFFSET);
  if (etherType === ETHERTYPE_IPV6)
    return frame[ETHERNET_HEADER + 6] === PROTOCOL_TCP ? ETHERNET_HEADER + IPV6_HEADER : undefined;
  if (etherType !== ETHERTYPE_IPV4 || frame[ETHERNET_HEADER + 9] !== PROTOCOL_TCP) return undefined;
  // Only the first fragment has ports.
  if ((frame.readUInt16BE(ETHERNET_HEADER + 6) & 0x1fff) !== 0) return undefined;
  return ETHERNET_HEADER + ((frame[ETHERNET_HEADER] ?? 0) & 0xf) * 4;
}
