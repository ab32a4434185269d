// Outgoing TCP connections: source address, TCP-MD5 (RFC 2385), TTL (RFC 5082), no delay. Where only plain options are
// asked for, Node makes the socket itself.

import { connect, Socket } from 'node:net';
import { hostCidr, type IpAddress, parseScopedIp } from '../../../lib/net/ip.ts';
import { openSocket, SocketCallError } from './libc.ts';

export interface DialOptions {
  readonly address: IpAddress;
  /** With the zone of a link-local address. */
  readonly addressText: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly password: string | undefined;
  /** Hops that the peer may be away; undefined: unprotected. */
  readonly ttlSecurity: number | undefined;
}

/** RFC 5082 §3: what has come over more hops than that has a lower TTL. */
export function leastTtl(hops: number): number {
  return 256 - hops;
}

/** A socket that is connecting; 'connect' or 'error' follows. Throws if the source or a protection cannot be set. */
export function dial(options: DialOptions): Socket {
  const { address, addressText: host, port, localAddress, password, ttlSecurity } = options;
  if (password === undefined && ttlSecurity === undefined) {
    return connect({ host, port, noDelay: true, ...(localAddress === undefined ? {} : { localAddress }) });
  }
  const source = localAddress === undefined ? undefined : parseScopedIp(localAddress);
  const fd = protectedSocket(options, () =>
    openSocket({
      family: address.family,
      keys: password === undefined ? [] : [{ network: hostCidr(address), password }],
      greatestTtl: ttlSecurity !== undefined,
      minTtl: ttlSecurity === undefined ? undefined : leastTtl(ttlSecurity),
      ...(source === undefined ? {} : { bind: { ...source, port: 0 } }),
      forListening: false,
    }),
  );
  // In one turn: wrapped and not connecting, Node would begin to read and fail with ENOTCONN.
  const socket = new Socket({ fd });
  socket.connect({ host, port });
  socket.setNoDelay(true);
  return socket;
}

/** Never an unprotected session in place of the protected one that is configured. */
function protectedSocket({ addressText, password }: DialOptions, open: () => number): number {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof SocketCallError) || error.type.code !== 'unavailable') throw error;
    throw new UnprotectedError(unprotected(addressText, password !== undefined, error.message), error);
  }
}

/** A protection is configured that cannot be had here. */
class UnprotectedError extends Error {
  readonly code = 'UNPROTECTED';

  constructor(message: string, cause: Error) {
    super(message, { cause });
    this.name = 'UnprotectedError';
  }
}

/** Why a peer is refused for whom a protection is configured that cannot be had here. */
function unprotected(address: string, isKeyed: boolean, problem: string): string {
  const [what, need] = isKeyed ? ['a password', 'TCP-MD5'] : ['ttlSecurity', 'it'];
  return `peer ${address}: ${what} is configured, but ${need} needs more than Node's sockets: ${problem}. The session stays down; it would run unprotected.`;
}
