// System calls of benchmarks: sockets in chosen namespaces, packets by the batch (sendmmsg, recvmmsg), one core.

import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_SNDTIMEO = 21;
const SO_RCVTIMEO = 20;
const MSG_DONTWAIT = 0x40;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const WAIT_SECONDS = 2n;
const SOCKADDR_BYTES = 16;
const MMSGHDR_BYTES = 64;
const IOVEC_BYTES = 16;

const libc = koffi.load('libc.so.6');
const setns = libc.func('int setns(int fd, int type)');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, const void *address, uint32_t length)');
const listen = libc.func('int listen(int fd, int backlog)');
const accept4 = libc.func('int accept4(int fd, void *address, void *length, int flags)');
const connect = libc.func('int connect(int fd, const void *address, uint32_t length)');
const send = libc.func('int64_t send(int fd, const void *data, size_t length, int flags)');
const sendto = libc.func(
  'int64_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t alen)',
);
const recvfrom = libc.func(
  'int64_t recvfrom(int fd, _Out_ void *data, size_t length, int flags, _Out_ void *address, _Inout_ uint32_t *alen)',
);
const recv = libc.func('int64_t recv(int fd, _Out_ void *data, size_t length, int flags)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const sendmmsg = libc.func('int sendmmsg(int fd, void *messages, uint32_t count, int flags)');
const recvmmsg = libc.func('int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)');
const close = libc.func('int close(int fd)');
const mmap = libc.func(
  'void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)',
);
const setaffinity = libc.func('int sched_setaffinity(int pid, size_t size, const void *mask)');

function checked(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
}

/** A signal may end a call that waits; it is then made again. */
function whole(call: () => number, what: string): number {
  for (;;) {
    const result = call();
    if (result >= 0 || koffi.errno() !== constants.errno.EINTR) return checked(result, what);
  }
}

/** This thread stays on one core from here on. */
export function pinTo(core: number): void {
  const mask = Buffer.alloc(128);
  mask.writeUInt8(1 << (core % 8), core >> 3);
  checked(setaffinity(0, mask.length, mask), 'sched_setaffinity');
}

/** Runs synchronous code with this thread in the namespace: sockets made there stay there. */
export function within<T>(netns: string, work: () => T): T {
  const own = openSync('/proc/self/ns/net', 'r');
  const there = openSync(`/run/netns/${netns}`, 'r');
  try {
    checked(setns(there, CLONE_NEWNET), `setns ${netns}`);
    return work();
  } finally {
    checked(setns(own, CLONE_NEWNET), 'setns back');
    closeSync(there);
    closeSync(own);
  }
}

/** `sockaddr_in`. */
export function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

/** Takes whole IPv4 packets. */
export function rawSocket(): number {
  return checked(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), 'raw socket');
}

export function datagramSocket(address: string, port: number): number {
  const fd = checked(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
  const bytes = socketAddress(address, port);
  checked(bind(fd, bytes, bytes.length), `bind ${address}:${port}`);
  return fd;
}

/** Answers the datagram that is there; false if there is none. */
export function answerOne(fd: number): boolean {
  const from = Buffer.alloc(SOCKADDR_BYTES);
  if (Number(recvfrom(fd, Buffer.alloc(64), 64, MSG_DONTWAIT, from, [from.length])) < 0) return false;
  checked(Number(sendto(fd, Buffer.alloc(8), 8, 0, from, from.length)), 'answer');
  return true;
}

/** Connections wait at most so long that a broken path is an error, not a halt. */
export function streamSocket(): number {
  const fd = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket');
  limitWaits(fd);
  return fd;
}

export function listener(address: string, port: number): number {
  const fd = streamSocket();
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Buffer.from([1, 0, 0, 0]), 4);
  const bytes = socketAddress(address, port);
  checked(bind(fd, bytes, bytes.length), `bind ${address}:${port}`);
  checked(listen(fd, 128), 'listen');
  return fd;
}

function limitWaits(fd: number): void {
  const limit = Buffer.alloc(16);
  limit.writeBigInt64LE(WAIT_SECONDS, 0);
  for (const option of [SO_SNDTIMEO, SO_RCVTIMEO]) setsockopt(fd, SOL_SOCKET, option, limit, limit.length);
}

const octet = Buffer.alloc(1);

/** Opened, an octet there and one back, closed. `netns`-bound sockets only: `client` is fresh. */
export function exchange(client: number, listening: number, to: Buffer): void {
  if (connect(client, to, to.length) < 0) awaitConnection(client, to);
  const server = whole(() => accept4(listening, null, null, SOCK_CLOEXEC), 'accept');
  whole(() => Number(send(client, octet, 1, 0)), 'send');
  whole(() => Number(recv(server, octet, 1, 0)), 'receive');
  whole(() => Number(send(server, octet, 1, 0)), 'send back');
  whole(() => Number(recv(client, octet, 1, 0)), 'receive back');
  close(client);
  close(server);
}

/** After a signal the connection goes on being made, and a further call waits for it. */
function awaitConnection(client: number, to: Buffer): void {
  if (koffi.errno() !== constants.errno.EINTR) throw new Error(`connect: errno ${koffi.errno()}`);
  const connectAgain = (): number => {
    const result = connect(client, to, to.length) as number;
    return koffi.errno() === constants.errno.EISCONN ? 0 : result;
  };
  whole(connectAgain, 'connect');
}

const scratch = Buffer.alloc(128);

/** Whether a datagram was there; it is thrown away. */
export function receiveOne(fd: number): boolean {
  return Number(recv(fd, scratch, scratch.length, MSG_DONTWAIT)) >= 0;
}

export function closeSocket(fd: number): void {
  close(fd);
}

/** Messages of one size for sendmmsg or recvmmsg, in memory that does not move. */
export class MessageVector {
  readonly count: number;
  readonly #pointer: unknown;
  readonly #memory: Buffer;
  readonly #payloadBytes: number;
  readonly #payloadAt: number;
  readonly #to: Buffer | undefined;

  /** `to`: a socket address for all of them; none for receiving. */
  constructor(count: number, payloadBytes: number, to?: Buffer) {
    this.count = count;
    this.#to = to;
    this.#payloadBytes = payloadBytes;
    const vectorsAt = count * MMSGHDR_BYTES;
    const addressAt = vectorsAt + count * IOVEC_BYTES;
    this.#payloadAt = addressAt + SOCKADDR_BYTES;
    const size = this.#payloadAt + count * payloadBytes;
    this.#pointer = mmap(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    const base = koffi.address(this.#pointer);
    this.#memory = Buffer.from(koffi.view(this.#pointer, size));
    if (to !== undefined) this.#memory.set(to, addressAt);
    for (let index = 0; index < count; index++) {
      const header = index * MMSGHDR_BYTES;
      if (to !== undefined) {
        this.#memory.writeBigUInt64LE(base + BigInt(addressAt), header);
        this.#memory.writeUInt32LE(SOCKADDR_BYTES, header + 8);
      }
      this.#memory.writeBigUInt64LE(base + BigInt(vectorsAt + index * IOVEC_BYTES), header + 16);
      this.#memory.writeBigUInt64LE(1n, header + 24);
      this.#memory.writeBigUInt64LE(
        base + BigInt(this.#payloadAt + index * payloadBytes),
        vectorsAt + index * IOVEC_BYTES,
      );
      this.#memory.writeBigUInt64LE(BigInt(payloadBytes), vectorsAt + index * IOVEC_BYTES + 8);
    }
  }

  payload(index: number): Buffer {
    const at = this.#payloadAt + index * this.#payloadBytes;
    return this.#memory.subarray(at, at + this.#payloadBytes);
  }

  /** The first `count` of them; how many the kernel took. */
  send(fd: number, count = this.count): number {
    return sendmmsg(fd, this.#pointer, count, 0) as number;
  }

  /** One of them by a call of its own. */
  sendOne(fd: number, index: number): boolean {
    return Number(sendto(fd, this.payload(index), this.#payloadBytes, 0, this.#to, SOCKADDR_BYTES)) >= 0;
  }

  /** What is there, thrown away; how many. */
  receive(fd: number): number {
    const received = recvmmsg(fd, this.#pointer, this.count, MSG_DONTWAIT, null) as number;
    return Math.max(0, received);
  }
}
