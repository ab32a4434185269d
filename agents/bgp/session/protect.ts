// Protections of a connected socket: the least TTL of what comes (RFC 5082), and the kernel's own send hold (RFC 9687).

import type { Socket } from 'node:net';
import type { Refusal } from './admission.ts';
import { leastTtl } from './dial.ts';
import { fdOf, SocketCallError, setMinTtl, setUserTimeout, synTtl, unacknowledged } from './libc.ts';

/**
 * Lets only near peers through on an accepted connection. The listener serves all peers and cannot drop by TTL: the SYN
 * itself is looked at here, before anything is read.
 */
export function protectAccepted(socket: Socket, ttlSecurity: number | undefined): Refusal | undefined {
  if (ttlSecurity === undefined) return undefined;
  const fd = fdOf(socket);
  if (fd === undefined) return 'unprotected';
  const family = socket.remoteFamily === 'IPv6' ? 6 : 4;
  const ttl = withSocket(() => {
    setMinTtl(fd, family, leastTtl(ttlSecurity));
    return synTtl(fd, family) ?? 0;
  });
  if (ttl === undefined) return 'unprotected';
  return ttl < leastTtl(ttlSecurity) ? 'ttlTooLow' : undefined;
}

/** Where koffi is missing the connection's own look at what was taken has to do. */
export function limitSendTime(socket: Socket, milliseconds: number): void {
  const fd = fdOf(socket);
  if (fd !== undefined) withSocket(() => setUserTimeout(fd, milliseconds));
}

/** Octets that the peer has not acknowledged, beyond those that wait in this process; undefined if unknown. */
export function kernelQueue(socket: Socket): number | undefined {
  const fd = fdOf(socket);
  return fd === undefined ? undefined : withSocket(() => unacknowledged(fd));
}

/** A call on a connection that may be gone already; undefined where it, or koffi, fails. */
function withSocket<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof SocketCallError) return undefined;
    throw error;
  }
}
