// Outgoing TCP connections (docs/bgp.md "Sockets"): source address, TCP-MD5, no delay.

import { connect, Socket } from 'node:net';
import type { IpAddress } from '../../../lib/net/ip.ts';
import { parseIp } from '../../../lib/net/ip.ts';
import { keyedSocket } from './libc.ts';

export interface DialOptions {
  readonly address: IpAddress;
  readonly addressText: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly password: string | undefined;
}

/** A socket that is connecting; 'connect' or 'error' follows. Throws if the source or the key cannot be set. */
export function dial(options: DialOptions): Socket {
  const { addressText: host, port, localAddress, password } = options;
  if (password === undefined) {
    return connect({ host, port, noDelay: true, ...(localAddress === undefined ? {} : { localAddress }) });
  }
  const source = localAddress === undefined ? undefined : parseIp(localAddress);
  const fd = keyedSocket(options.address, password, source);
  // In one turn: wrapped and not connecting, Node would begin to read and fail with ENOTCONN.
  const socket = new Socket({ fd });
  socket.connect({ host, port });
  socket.setNoDelay(true);
  return socket;
}
