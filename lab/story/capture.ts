// Program: writes the TCP segments of a port that cross an interface to standard output, as a pcap file, until it is ended.
// For labs without root, where tcpdump cannot open the interface itself (bgp-capture.ts says why). See packet(7).
// Arguments: INTERFACE PORT.

import { writeSync } from 'node:fs';
import koffi from 'koffi';
import { encodePcapHeader, encodePcapRecord, isTcpOfPort, SNAP_LENGTH } from './pcap.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL = 3;
const MSG_TRUNC = 0x20;
const SOCKADDR_LL_SIZE = 20;
const STDOUT = 1;

function main([name, port]: readonly string[]): never {
  if (name === undefined || port === undefined) throw new Error('usage: capture INTERFACE PORT');
  const libc = koffi.load('libc.so.6');
  const recv = libc.func('long recv(int, _Out_ uint8_t *, size_t, int)') as (
    fd: number,
    into: Uint8Array,
    size: number,
    flags: number,
  ) => number;
  const fd = openPacketSocket(libc, name);
  writeSync(STDOUT, encodePcapHeader());
  const buffer = Buffer.alloc(SNAP_LENGTH);
  for (;;) {
    const length = recv(fd, buffer, buffer.length, MSG_TRUNC);
    if (length < 0) fail('recv');
    const frame = buffer.subarray(0, Math.min(length, buffer.length));
    if (isTcpOfPort(frame, Number(port))) writeSync(STDOUT, encodePcapRecord(frame, length, Date.now()));
  }
}

function openPacketSocket(libc: ReturnType<typeof koffi.load>, interfaceName: string): number {
  // Not from /sys, which shows the network namespace of whoever mounted it.
  const indexOf = libc.func('uint32_t if_nametoindex(const char *)') as (name: string) => number;
  const interfaceIndex = indexOf(interfaceName);
  if (interfaceIndex === 0) fail('if_nametoindex');
  const protocol = Buffer.alloc(2);
  protocol.writeUInt16BE(ETH_P_ALL);
  const fd = (libc.func('int socket(int, int, int)') as (...numbers: number[]) => number)(
    AF_PACKET,
    SOCK_RAW,
    protocol.readUInt16LE(),
  );
  if (fd < 0) fail('socket');
  const address = Buffer.alloc(SOCKADDR_LL_SIZE);
  address.writeUInt16LE(AF_PACKET, 0);
  protocol.copy(address, 2);
  address.writeInt32LE(interfaceIndex, 4);
  const bind = libc.func('int bind(int, const void *, uint32_t)') as (
    fd: number,
    address: Uint8Array,
    size: number,
  ) => number;
  if (bind(fd, address, address.length) < 0) fail('bind');
  return fd;
}

function fail(call: string): never {
  throw new Error(`${call} failed with errno ${koffi.errno()}`);
}

main(process.argv.slice(2));
