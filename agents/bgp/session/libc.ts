// The few socket calls that Node does not offer, through koffi: TCP-MD5 keys (RFC 2385) on sockets of our own making.
// A password without them is refused, never left out: the session would run unprotected.

import koffi from 'koffi';
import type { IpAddress } from '../../../lib/net/ip.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const MD5SIG_SIZE = 216;
const SOCKADDR_STORAGE_SIZE = 128;
const KEY_LENGTH_OFFSET = 130;
const KEY_OFFSET = 136;
const MAX_KEY = 80;

class SocketCallError extends Error {
  readonly type: { readonly code: 'socketCall'; readonly call: string; readonly errno: number };

  constructor(call: string, errno: number) {
    super(`${call} failed with errno ${errno}`);
    this.name = 'SocketCallError';
    this.type = { code: 'socketCall', call, errno };
  }
}

interface Libc {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Uint8Array, length: number) => number;
  readonly close: (fd: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
}
let loaded: Libc | undefined;

function libc(): Libc {
  if (loaded === undefined) {
    const library = koffi.load('libc.so.6');
    loaded = {
      socket: library.func('int socket(int, int, int)') as Libc['socket'],
      bind: library.func('int bind(int, const void *, uint32_t)') as Libc['bind'],
      close: library.func('int close(int)') as Libc['close'],
      setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)') as Libc['setsockopt'],
    };
  }
  return loaded;
}

/** A TCP socket that is not connected, with its key and its source set. The caller hands it to Node, which closes it. */
export function keyedSocket(peer: IpAddress, password: string, source: IpAddress | undefined): number {
  const family = peer.family === 4 ? AF_INET : AF_INET6;
  const fd = libc().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SocketCallError('socket', koffi.errno());
  try {
    setMd5Key(fd, peer, password);
    if (source !== undefined) {
      const address = socketAddress(source);
      check('bind', libc().bind(fd, address, address.length));
    }
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** Sets or replaces the key for one peer, on a listener too; undefined takes it away, if there is one. */
export function setMd5Key(fd: number, peer: IpAddress, password: string | undefined): void {
  const key = new TextEncoder().encode(password ?? '');
  if (key.length > MAX_KEY) throw new RangeError(`a TCP-MD5 key has at most ${MAX_KEY} octets`);
  const option = new Uint8Array(MD5SIG_SIZE);
  option.set(socketAddress(peer));
  new DataView(option.buffer).setUint16(KEY_LENGTH_OFFSET, key.length, true);
  option.set(key, KEY_OFFSET);
  const result = libc().setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, option, option.length);
  const wasAbsent = password === undefined && result < 0;
  if (!wasAbsent) check('setsockopt TCP_MD5SIG', result);
}

/** sockaddr_in or sockaddr_in6 with port 0. The family is in host order: little-endian on every machine supported. */
function socketAddress(address: IpAddress): Uint8Array {
  const isV4 = address.family === 4;
  const octets = new Uint8Array(isV4 ? 16 : 28);
  octets[0] = isV4 ? AF_INET : AF_INET6;
  const [offset, length] = isV4 ? [4, 4] : [8, 16];
  for (let i = 0; i < length; i++) {
    octets[offset + i] = Number((address.value >> BigInt(8 * (length - 1 - i))) & 0xffn);
  }
  if (octets.length > SOCKADDR_STORAGE_SIZE) throw new RangeError('socket address too long');
  return octets;
}

function check(call: string, result: number): void {
  if (result < 0) throw new SocketCallError(call, koffi.errno());
}
