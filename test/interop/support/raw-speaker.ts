// A peer that says whatever it is told, right or wrong: node raw-speaker.ts LOCAL REMOTE ASN HEX…
// The first message goes out when the session is up, one more with each SIGUSR1. What it hears is a line each.

import { connect } from 'node:net';

const [localAddress = '', host = '', asn = '', ...messages] = process.argv.slice(2);
const HEADER_OCTETS = 19;
const names = new Map([
  [1, 'OPEN'],
  [2, 'UPDATE'],
  [3, 'NOTIFICATION'],
  [4, 'KEEPALIVE'],
]);

function message(type: number, ...body: readonly number[]): Buffer {
  const length = HEADER_OCTETS + body.length;
  return Buffer.from([...Array.from({ length: 16 }, () => 0xff), length >> 8, length & 255, type, ...body]);
}

const next = (): void => void socket.write(Buffer.from(messages.shift() ?? '', 'hex'));
process.on('SIGUSR1', next);

const socket = connect({ host, port: 179, localAddress });
socket.on('connect', () => {
  const own = Number(asn);
  const identifier = localAddress.split('.').map(Number);
  // Hold time 0: no keepalives are due. IPv4 unicast, four-octet AS numbers.
  const capabilities = [1, 4, 0, 1, 0, 1, 65, 4, 0, 0, own >> 8, own & 255];
  const parameters = [2, capabilities.length, ...capabilities];
  socket.write(message(1, 4, own >> 8, own & 255, 0, 0, ...identifier, parameters.length, ...parameters));
});

let octets = Buffer.alloc(0);
let isUp = false;
socket.on('data', (data: Buffer) => {
  octets = Buffer.concat([octets, data]);
  while (octets.length >= HEADER_OCTETS && octets.length >= octets.readUInt16BE(16)) {
    const length = octets.readUInt16BE(16);
    const type = octets.readUInt8(18);
    const body = octets.subarray(HEADER_OCTETS, length).toString('hex');
    process.stdout.write(`${names.get(type) ?? type} ${body}\n`);
    octets = octets.subarray(length);
    if (type === 1) socket.write(message(4));
    if (type === 4 && !isUp) {
      isUp = true;
      next();
    }
  }
});
