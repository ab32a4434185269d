// An IPv4 packet with a UDP datagram, as a raw socket takes it: the kernel fills in the checksum of the header, and the
// datagram has none (RFC 768).

export interface Datagram {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export const DATAGRAM_BYTES = 64;
const SOURCE_PORT_AT = 20;

export function encodeDatagram(datagram: Datagram): Buffer {
  const bytes = Buffer.alloc(DATAGRAM_BYTES);
  bytes.writeUInt8(0x45, 0);
  bytes.writeUInt16BE(DATAGRAM_BYTES, 2);
  bytes.writeUInt8(64, 8);
  bytes.writeUInt8(17, 9);
  bytes.set(datagram.source.split('.').map(Number), 12);
  bytes.set(datagram.destination.split('.').map(Number), 16);
  bytes.writeUInt16BE(datagram.sourcePort, SOURCE_PORT_AT);
  bytes.writeUInt16BE(datagram.destinationPort, 22);
  bytes.writeUInt16BE(DATAGRAM_BYTES - 20, 24);
  return bytes;
}

export function setSourcePort(packet: Buffer, port: number): void {
  packet.writeUInt16BE(port, SOURCE_PORT_AT);
}
