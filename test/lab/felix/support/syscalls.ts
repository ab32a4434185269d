// The few system calls that kernel tests need: sockets made in a chosen network namespace, never blocking.

import koffi from 'koffi';
import { parseIp } from '../../../../lib/net/ip.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const CLONE_NEWNET = 0x40000000;

export const SocketType = { stream: 1, datagram: 2, raw: 3 } as const;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_MARK = 36;
const TCP_NODELAY = 1;
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
const EINPROGRESS = 115;

const libc = koffi.load('libc.so.6');
const setns = libc.func('int setns(int fd, int type)');
const unshare = libc.func('int unshare(int flags)');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, const void *address, uint32_t length)');
const listen = libc.func('int listen(int fd, int backlog)');
const accept = libc.func('int accept4(int fd, void *address, void *length, int flags)');
const connect = libc.func('int connect(int fd, const void *address, uint32_t length)');
const send = libc.func('int64_t send(int fd, const void *data, size_t length, int flags)');
const sendto = libc.func(
  'int64_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t alen)',
);
const recvfrom = libc.func(
  'int64_t recvfrom(int fd, _Out_ void *data, size_t length, int flags, _Out_ void *address, _Inout_ uint32_t *alen)',
);
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)',
);
const close = libc.func('int close(int fd)');

function checked(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
}

function socketAddress(address: string, port: number): Buffer {
  const ip = parseIp(address);
  if (ip === undefined) throw new Error(`no address: ${address}`);
  if (ip.family === 4) {
    const buffer = Buffer.alloc(16);
    buffer.writeUInt16LE(AF_INET, 0);
    buffer.writeUInt16BE(port, 2);
    buffer.writeUInt32BE(Number(ip.value), 4);
    return buffer;
  }
  const buffer = Buffer.alloc(28);
  buffer.writeUInt16LE(AF_INET6, 0);
  buffer.writeUInt16BE(port, 2);
  buffer.writeBigUInt64BE(ip.value >> 64n, 8);
  buffer.writeBigUInt64BE(ip.value & 0xffffffffffffffffn, 16);
  return buffer;
}

export const sys = {
  /** This thread goes into a network namespace of its own. */
  unshareNetwork(): void {
    checked(unshare(CLONE_NEWNET), 'unshare');
  },

  setns(fd: number): void {
    checked(setns(fd, CLONE_NEWNET), 'setns');
  },

  /** Bound to the address; port 0 lets the kernel choose. What is sent over TCP leaves at once, and does not wait for what is lost. */
  socket(type: number, protocol: number, address: string, port: number): number {
    const family = address.includes(':') ? AF_INET6 : AF_INET;
    const fd = checked(socket(family, type | SOCK_NONBLOCK_CLOEXEC, protocol), 'socket');
    const one = Buffer.from([1, 0, 0, 0]);
    // For listeners alone: with it the kernel gives a port that is free to choose to two datagram sockets, and one gets the other's answers.
    if (type === SocketType.stream && port !== 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, one.length);
    // A connection that a listener takes has it from there.
    if (protocol === IpProtocol.tcp && type === SocketType.stream)
      setsockopt(fd, IpProtocol.tcp, TCP_NODELAY, one, one.length);
    const bytes = socketAddress(address, port);
    if (bind(fd, bytes, bytes.length) < 0) {
      const errno = koffi.errno();
      close(fd);
      throw new Error(`bind ${address}:${port}: errno ${errno}`);
    }
    return fd;
  },

  /** Mark of every packet that it sends. */
  setMark(fd: number, mark: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(mark);
    checked(setsockopt(fd, SOL_SOCKET, SO_MARK, bytes, bytes.length), 'setsockopt');
  },

  listen(fd: number): void {
    checked(listen(fd, 128), 'listen');
  },

  /** A connection that waits to be taken; undefined: none. */
  accept(fd: number): number | undefined {
    const taken = accept(fd, null, null, SOCK_NONBLOCK_CLOEXEC);
    return taken < 0 ? undefined : taken;
  },

  /** Begins; 0 or the errno of a refusal at once. */
  connect(fd: number, address: string, port: number): number {
    const bytes = socketAddress(address, port);
    if (connect(fd, bytes, bytes.length) === 0) return 0;
    const errno = koffi.errno();
    return errno === EINPROGRESS ? 0 : errno;
  },

  /** False while it cannot be sent (not connected yet, no route). */
  send(fd: number, data: Buffer): boolean {
    return send(fd, data, data.length, 0x4000) === data.length;
  },

  sendTo(fd: number, data: Buffer, address: string, port: number): boolean {
    const bytes = socketAddress(address, port);
    return sendto(fd, data, data.length, 0x4000, bytes, bytes.length) === data.length;
  },

  /** Of the last call that failed. */
  errno(): number {
    return koffi.errno();
  },

  /** Undefined: nothing there, or an error. */
  receive(fd: number): { readonly data: Buffer; readonly from: Buffer } | undefined {
    const data = Buffer.alloc(2048);
    const from = Buffer.alloc(28);
    const length = recvfrom(fd, data, data.length, 0x40, from, [from.length]);
    return length < 0 ? undefined : { data: data.subarray(0, length), from };
  },

  /** Answers to where a datagram came from. */
  replyTo(fd: number, data: Buffer, from: Buffer): void {
    const length = from.readUInt16LE(0) === AF_INET ? 16 : 28;
    sendto(fd, data, data.length, 0x4000, from, length);
  },

  /** The pending error of a socket, 0 if none. */
  socketError(fd: number): number {
    const value = Buffer.alloc(4);
    getsockopt(fd, 1, 4, value, [4]);
    return value.readInt32LE(0);
  },

  close(fd: number): void {
    close(fd);
  },
};
