// The payload of a VXLAN packet (RFC 7348): header, Ethernet frame, and in it an IPv4 datagram of UDP, as a tunnel end would send it.

import { internetChecksum } from '../../../support/policy-fuzz/raw-packet.ts';

export const VXLAN_PORT = 4789;

export interface InnerPacket {
  readonly vni: number;
  /** Of the tunnel device that is to take the frame. */
  readonly mac: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
}

export function vxlanPacket({ vni, mac, source, destination, port }: InnerPacket): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(0x08, 0);
  header.writeUIntBE(vni, 4, 3);
  const frame = Buffer.concat([
    Buffer.from(mac.replaceAll(':', ''), 'hex'),
    Buffer.from('660000000099', 'hex'),
    Buffer.from('0800', 'hex'),
  ]);
  const data = Buffer.from('calico?');
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(40_000, 0);
  udp.writeUInt16BE(port, 2);
  // Without a checksum, which IPv4 allows.
  udp.writeUInt16BE(8 + data.length, 4);
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(20 + 8 + data.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(17, 9);
  Buffer.from(source.split('.').map(Number)).copy(ip, 12);
  Buffer.from(destination.split('.').map(Number)).copy(ip, 16);
  ip.writeUInt16BE(internetChecksum(ip), 10);
  return Buffer.concat([header, frame, ip, udp, data]);
}
