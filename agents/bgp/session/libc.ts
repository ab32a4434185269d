// The socket calls that Node does not offer, through koffi: TCP-MD5 keys (RFC 2385), TTL (RFC 5082), the SYN of an
// accepted connection, the kernel's own send hold. koffi may be missing: what needs it is then refused, never left out.

import { createRequire } from 'node:module';
import type { Server, Socket } from 'node:net';
import { isNativeError } from 'node:util/types';
import { type Cidr, familyBits, type IpAddress, ipBytes } from '../../../lib/net/ip.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const MD5SIG_SIZE = 216;
const MD5SIG_FLAGS_OFFSET = 128;
const MD5SIG_PREFIX_OFFSET = 129;
const MD5SIG_LENGTH_OFFSET = 130;
const MD5SIG_KEY_OFFSET = 136;
/** The length in the option counts. */
const MD5SIG_FLAG_PREFIX = 1;
const MAX_KEY = 80;
const ENOENT = 2;
const ENOMEM = 12;

/** Level and number of an option with a value of 32 bits. */
type Option = readonly [level: number, name: number];
const SO_REUSEADDR: Option = [1, 2];
const IPV6_V6ONLY: Option = [41, 26];
const TCP_MD5SIG: Option = [6, 14];
const TCP_USER_TIMEOUT: Option = [6, 18];
const TCP_SAVE_SYN: Option = [6, 27];
const TCP_SAVED_SYN: Option = [6, 28];
const TCP_MD5SIG_EXT: Option = [6, 32];
const TTL = { 4: [0, 2], 6: [41, 16] } as const;
const MIN_TTL = { 4: [0, 21], 6: [41, 73] } as const;
const SIOCOUTQ = 0x5411;
const GREATEST_TTL = 255;
/** Octet of the TTL or hop limit in the IP header. */
const TTL_OCTET = { 4: 8, 6: 7 } as const;
const SYN_HEADERS_SIZE = 256;

export class SocketCallError extends Error {
  readonly type:
    | { readonly code: 'socketCall'; readonly call: string; readonly errno: number }
    | { readonly code: 'unavailable'; readonly reason: string };

  constructor(type: SocketCallError['type']) {
    super(
      type.code === 'unavailable'
        ? `the package koffi failed to load (${type.reason})`
        : `${type.call} failed with errno ${type.errno}${type.errno === ENOMEM ? OUT_OF_OPTION_MEMORY : ''}`,
    );
    this.name = 'SocketCallError';
    this.type = type;
  }
}

/** A key takes about 136 octets of what one socket may hold. */
const OUT_OF_OPTION_MEMORY =
  ': the socket holds as many keys as net.core.optmem_max allows; raise it, or use one key for a whole prefix';

interface Libc {
  readonly errno: () => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Uint8Array, length: number) => number;
  readonly close: (fd: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: Uint8Array,
  ) => number;
  readonly ioctl: (fd: number, request: number, value: Uint8Array) => number;
  readonly interfaceIndex: (name: string) => number;
}
let loaded: Libc | SocketCallError | undefined;

function libc(): Libc {
  loaded ??= load();
  if (loaded instanceof SocketCallError) throw loaded;
  return loaded;
}

/** Not an import: without koffi bgpd still runs, and only what needs it is refused. */
function load(): Libc | SocketCallError {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const library = koffi.load('libc.so.6');
    const options = 'int fd, int level, int name';
    return {
      errno: () => koffi.errno(),
      socket: library.func('int socket(int, int, int)') as Libc['socket'],
      bind: library.func('int bind(int, const void *, uint32_t)') as Libc['bind'],
      close: library.func('int close(int)') as Libc['close'],
      setsockopt: library.func(`int setsockopt(${options}, const void *, uint32_t)`) as Libc['setsockopt'],
      getsockopt: library.func(`int getsockopt(${options}, void *, void *)`) as Libc['getsockopt'],
      ioctl: library.func('int ioctl(int, unsigned long, void *)') as Libc['ioctl'],
      interfaceIndex: library.func('unsigned int if_nametoindex(const char *)') as Libc['interfaceIndex'],
    };
  } catch (error) {
    const reason = isNativeError(error) ? error.message : String(error);
    return new SocketCallError({ code: 'unavailable', reason });
  }
}

/** Why socket options cannot be set here; undefined where they can. */
export function socketOptionsProblem(): string | undefined {
  loaded ??= load();
  return loaded instanceof SocketCallError ? loaded.message : undefined;
}

export interface SocketSpec {
  readonly family: 4 | 6;
  /** TCP-MD5 keys, each for all addresses of its network. */
  readonly keys: readonly Md5Key[];
  /** Packets leave with TTL 255 (RFC 5082 §3). */
  readonly greatestTtl: boolean;
  /** Packets with a lower TTL are dropped by the kernel. */
  readonly minTtl: number | undefined;
  /** Address to bind; `port` 0 for any. Zone of a link-local address. */
  readonly bind?: { readonly address: IpAddress; readonly port: number; readonly zone: string | undefined };
  /** For listening: the address may be taken though old connections linger, and SYNs are kept for `synTtl`. */
  readonly forListening: boolean;
}

export interface Md5Key {
  readonly network: Cidr;
  readonly password: string;
}

/** A TCP socket that is neither connected nor listening. The caller hands it to Node, which closes it. */
export function openSocket(spec: SocketSpec): number {
  const { family, bind } = spec;
  const domain = family === 4 ? AF_INET : AF_INET6;
  const fd = libc().socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw failure('socket');
  try {
    for (const key of spec.keys) setMd5Key(fd, key.network, key.password);
    if (spec.greatestTtl) setGreatestTtl(fd, family);
    if (spec.minTtl !== undefined) setMinTtl(fd, family, spec.minTtl);
    if (spec.forListening) {
      setOption(fd, SO_REUSEADDR, 1);
      if (family === 6) setOption(fd, IPV6_V6ONLY, 1);
    }
    if (bind !== undefined) {
      const address = socketAddress(bind.address, bind.port, bind.zone);
      if (libc().bind(fd, address, address.length) < 0) throw failure('bind');
    }
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** Sets or replaces the key for a network, on a listener too; undefined takes it away, if there is one. */
export function setMd5Key(fd: number, network: Cidr, password: string | undefined): void {
  const key = new TextEncoder().encode(password ?? '');
  if (key.length > MAX_KEY) throw new RangeError(`a TCP-MD5 key has at most ${MAX_KEY} octets`);
  const isHost = network.length === familyBits(network.family);
  const option = new Uint8Array(MD5SIG_SIZE);
  option.set(socketAddress({ family: network.family, value: network.base }, 0, undefined));
  if (!isHost) {
    option[MD5SIG_FLAGS_OFFSET] = MD5SIG_FLAG_PREFIX;
    option[MD5SIG_PREFIX_OFFSET] = network.length;
  }
  new DataView(option.buffer).setUint16(MD5SIG_LENGTH_OFFSET, key.length, true);
  option.set(key, MD5SIG_KEY_OFFSET);
  const [level, name] = isHost ? TCP_MD5SIG : TCP_MD5SIG_EXT;
  if (libc().setsockopt(fd, level, name, option, option.length) >= 0) return;
  const wasAbsent = password === undefined && libc().errno() === ENOENT;
  if (!wasAbsent) throw failure('setsockopt TCP_MD5SIG');
}

/** Accepted sockets inherit it: on a listener it makes the SYN-ACK leave with 255 too. */
export function setGreatestTtl(fd: number, family: 4 | 6): void {
  setOption(fd, TTL[family], GREATEST_TTL);
}

export function setMinTtl(fd: number, family: 4 | 6, ttl: number): void {
  setOption(fd, MIN_TTL[family], ttl);
}

/** On a listener: keeps the headers of each SYN until `synTtl` asks for them. */
export function saveSyns(fd: number): void {
  setOption(fd, TCP_SAVE_SYN, 1);
}

/** TTL or hop limit of the SYN that an accepted connection began with; undefined if it was not kept. */
export function synTtl(fd: number, family: 4 | 6): number | undefined {
  const headers = new Uint8Array(SYN_HEADERS_SIZE);
  const length = new Uint8Array(4);
  const view = new DataView(length.buffer);
  view.setUint32(0, headers.length, true);
  if (libc().getsockopt(fd, ...TCP_SAVED_SYN, headers, length) < 0) throw failure('getsockopt TCP_SAVED_SYN');
  return view.getUint32(0, true) === 0 ? undefined : headers[TTL_OCTET[family]];
}

/** The kernel ends a connection whose data is not acknowledged for so long (RFC 5482). */
export function setUserTimeout(fd: number, milliseconds: number): void {
  setOption(fd, TCP_USER_TIMEOUT, milliseconds);
}

/** Octets that the kernel holds and the peer has not acknowledged. */
export function unacknowledged(fd: number): number {
  const value = new Uint8Array(4);
  if (libc().ioctl(fd, SIOCOUTQ, value) < 0) throw failure('ioctl SIOCOUTQ');
  return new DataView(value.buffer).getInt32(0, true);
}

function setOption(fd: number, [level, name]: Option, value: number): void {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setInt32(0, value, true);
  if (libc().setsockopt(fd, level, name, octets, octets.length) < 0) {
    throw failure(`setsockopt ${level} ${name}`);
  }
}

/** sockaddr_in or sockaddr_in6. The family is in host order: little-endian on every machine supported. */
function socketAddress(address: IpAddress, port: number, zone: string | undefined): Uint8Array {
  const isV4 = address.family === 4;
  const octets = new Uint8Array(isV4 ? 16 : 28);
  const view = new DataView(octets.buffer);
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  octets.set(ipBytes(address), isV4 ? 4 : 8);
  if (zone !== undefined) view.setUint32(24, libc().interfaceIndex(zone), true);
  return octets;
}

function failure(call: string): SocketCallError {
  return new SocketCallError({ code: 'socketCall', call, errno: libc().errno() });
}

/** The descriptor of a listening or connected socket; undefined once it is closed. */
export function fdOf(owner: Server | Socket): number | undefined {
  const { _handle } = owner as unknown as { readonly _handle?: { readonly fd?: number } | null };
  const fd = _handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
