// The relay (relay.ts): takes every session, and writes whole UPDATEs of a peer to all the others without looking at them.

import { createServer, type Socket } from 'node:net';
import { uint16At } from '../generator/inbox.ts';
import { HEADER_OCTETS, message, uint16, uint32 } from '../generator/route-table.ts';
import { ASN, BGP_PORT, DAEMON_ADDRESS } from '../topology.ts';

const OPEN = 1;
const UPDATE = 2;
const KEEPALIVE = 4;
const END_OF_RIB = message(UPDATE, [0, 0, 0, 0]);

const peers = new Set<Socket>();
/** What has come in this turn of the event loop. */
let arrived: { readonly from: Socket; readonly octets: Buffer }[] = [];

/** One write to each peer, whatever has come from how many. */
function flush(): void {
  const now = arrived;
  arrived = [];
  for (const peer of peers) {
    const others = now.filter(({ from }) => from !== peer).map(({ octets }) => octets);
    const [only] = others;
    if (only !== undefined) peer.write(others.length === 1 ? only : Buffer.concat(others));
  }
}

function pass(from: Socket, octets: Buffer): void {
  if (arrived.length === 0) setImmediate(flush);
  arrived.push({ from, octets });
}

/** Takes what is whole off the front of `octets`; returns what is left. */
function take(peer: Socket, octets: Buffer): Buffer {
  let first = 0;
  let offset = 0;
  while (octets.length - offset >= HEADER_OCTETS) {
    const length = uint16At(octets, offset + 16);
    if (octets.length - offset < length) break;
    const type = octets[offset + 18];
    if (type !== UPDATE) {
      answer(peer, type);
      first = offset + length;
    }
    offset += length;
  }
  if (offset > first) pass(peer, octets.subarray(first, offset));
  return octets.subarray(offset);
}

function answer(peer: Socket, type: number | undefined): void {
  if (type === OPEN) {
    const capabilities = [65, 4, ...uint32(ASN)];
    const parameters = [2, capabilities.length, ...capabilities];
    const fixed = [4, ...uint16(ASN), ...uint16(180), ...DAEMON_ADDRESS.split('.').map(Number)];
    peer.write(message(OPEN, fixed, [parameters.length, ...parameters]));
    peer.write(message(KEEPALIVE));
  } else if (type === KEEPALIVE && !peers.has(peer)) {
    peers.add(peer);
    peer.write(END_OF_RIB);
  }
}

createServer({ noDelay: true }, (peer) => {
  let rest: Buffer = Buffer.alloc(0);
  peer.on('data', (data: Buffer) => {
    rest = take(peer, rest.length === 0 ? data : Buffer.concat([rest, data]));
  });
  peer.on('error', () => undefined);
  peer.on('close', () => peers.delete(peer));
}).listen(BGP_PORT, DAEMON_ADDRESS, () => console.log('listening'));
