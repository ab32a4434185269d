// A netlink socket through koffi: one request or dump, its answers, all before the call returns. The kernel answers what is asked
// here within the sending call, so that nothing waits; a limit ends a wait that should not be.

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';
import {
  decodeError,
  decodeMessages,
  encodeMessage,
  NetlinkFlag,
  type NetlinkMessage,
  NLMSG_DONE,
  NLMSG_ERROR,
  uint32,
} from './message.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDBUF = 7;
/** Past the system's limit, for who may. */
const SO_SNDBUFFORCE = 32;
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
/** An acknowledgement carries the request's header alone. */
const NETLINK_CAP_ACK = 10;
/** … and the kernel's reason. */
const NETLINK_EXT_ACK = 11;
/** Dumps are of what their header asks for. */
const NETLINK_GET_STRICT_CHK = 12;
const WAIT_SECONDS = 5n;
const ANSWER_BYTES = 64 * 1024;
const MOST_DATAGRAMS = 64;
/** Of one dump: far more than any set here has elements. */
const MOST_DUMPED_DATAGRAMS = 100_000;

export const NetlinkFamily = { route: 0, netfilter: 12 } as const;

/** The kernel's refusal of a request. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly type: { readonly code: 'netlinkRefused'; readonly errno: number };

  constructor(errno: number, reason: string | undefined, options?: ErrorOptions) {
    const [name = `errno ${errno}`, text = ''] = getSystemErrorMap().get(-errno) ?? [];
    super(`${name}: ${reason ?? text}`, options);
    this.type = { code: 'netlinkRefused', errno };
  }

  /** The same refusal, of what. */
  at(what: string): NetlinkError {
    return new NetlinkError(this.type.errno, `${what}: ${this.message}`, { cause: this });
  }
}

interface Libc {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Buffer, length: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Buffer, length: number) => number;
  readonly send: (fd: number, buffer: Buffer, length: number, flags: number) => number;
  readonly recv: (fd: number, buffer: Buffer, length: number, flags: number) => number;
  readonly close: (fd: number) => number;
}
let loaded: Libc | undefined;

function libc(): Libc {
  if (loaded === undefined) {
    const library = koffi.load('libc.so.6');
    loaded = {
      socket: library.func('int socket(int domain, int type, int protocol)') as Libc['socket'],
      bind: library.func('int bind(int fd, const void *address, uint32_t length)') as Libc['bind'],
      setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)') as Libc['setsockopt'],
      send: library.func('int64_t send(int fd, const void *buf, size_t len, int flags)') as Libc['send'],
      recv: library.func('int64_t recv(int fd, _Out_ void *buf, size_t len, int flags)') as Libc['recv'],
      close: library.func('int close(int)') as Libc['close'],
    };
  }
  return loaded;
}

/** Listens to a multicast group: what comes waits in the socket's buffer until somebody asks. */
export class NetlinkListener {
  readonly #libc = libc();
  readonly #fd: number;
  readonly #message = Buffer.alloc(ANSWER_BYTES);

  /** `bufferBytes`: of the socket, as far as the kernel grants it. Throws NetlinkError. */
  constructor(family: number, group: number, bufferBytes: number) {
    this.#fd = this.#libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
    if (this.#fd < 0) throw new NetlinkError(koffi.errno(), undefined);
    const size = uint32(bufferBytes);
    // The first needs a capability in the machine's own user namespace.
    if (this.#libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length) < 0)
      this.#libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, size, size.length);
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    const member = uint32(group);
    if (
      this.#libc.bind(this.#fd, address, address.length) < 0 ||
      this.#libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, member, member.length) < 0
    ) {
      const error = new NetlinkError(koffi.errno(), undefined);
      this.close();
      throw error;
    }
  }

  /** Hands over what has come, `limit` datagrams at most. True if the buffer was full meanwhile, so that some is lost. */
  drain(limit: number, take: (message: NetlinkMessage) => void): boolean {
    let isLost = false;
    for (let datagrams = 0; datagrams < limit; datagrams++) {
      const length = this.#libc.recv(this.#fd, this.#message, this.#message.length, MSG_DONTWAIT);
      if (length >= 0) {
        for (const message of decodeMessages(this.#message.subarray(0, length))) take(message);
        continue;
      }
      const errno = koffi.errno();
      if (errno === constants.errno.EAGAIN) return isLost;
      if (errno === constants.errno.ENOBUFS) isLost = true;
      else if (errno !== constants.errno.EINTR) throw new NetlinkError(errno, undefined);
    }
    return isLost;
  }

  close(): void {
    this.#libc.close(this.#fd);
  }
}

export class NetlinkSocket {
  readonly #libc = libc();
  readonly #fd: number;
  readonly #answer = Buffer.alloc(ANSWER_BYTES);
  #sequence = 0;

  /** In the network namespace that the calling thread is in now, for good. Throws if the kernel has no such family. */
  constructor(family: number, { checksStrictly = false }: { readonly checksStrictly?: boolean } = {}) {
    this.#fd = this.#libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
    if (this.#fd < 0) throw new Error(`no netlink socket of family ${family}: the kernel does not have it`);
    const limit = Buffer.alloc(16);
    limit.writeBigInt64LE(WAIT_SECONDS, 0);
    this.#libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, limit, limit.length);
    const size = uint32(SEND_BUFFER_BYTES);
    for (const option of [SO_SNDBUF, SO_SNDBUFFORCE])
      this.#libc.setsockopt(this.#fd, SOL_SOCKET, option, size, size.length);
    const yes = uint32(1);
    const options = [NETLINK_CAP_ACK, NETLINK_EXT_ACK, ...(checksStrictly ? [NETLINK_GET_STRICT_CHK] : [])];
    for (const option of options) this.#libc.setsockopt(this.#fd, SOL_NETLINK, option, yes, yes.length);
  }

  /** The message that answers; the acknowledgement itself gives undefined. Throws NetlinkError. */
  request(message: NetlinkMessage): NetlinkMessage | undefined {
    this.#send(this.#numbered(message));
    const answer = this.#receive();
    if (answer.type !== NLMSG_ERROR) return answer;
    const { errno, reason } = decodeError(answer);
    if (errno !== 0) throw new NetlinkError(errno, reason);
    return undefined;
  }

  /**
   * Hands over each message of a dump. False if something changed in its course, so that it may not be all, nor all of one time.
   * Throws NetlinkError, also in the middle.
   */
  dump(message: NetlinkMessage, take: (message: NetlinkMessage) => void): boolean {
    let isWhole = true;
    this.#send(this.#numbered({ ...message, flags: NetlinkFlag.request | NetlinkFlag.dump }));
    for (let datagrams = 0; datagrams < MOST_DUMPED_DATAGRAMS; datagrams++) {
      for (const answer of this.#awaited()) {
        if (answer.sequence !== this.#sequence) continue;
        if ((answer.flags & NetlinkFlag.interrupted) !== 0) isWhole = false;
        if (answer.type !== NLMSG_ERROR && answer.type !== NLMSG_DONE) {
          take(answer);
          continue;
        }
        // Both begin with an errno.
        const { errno, reason } = decodeError(answer);
        if (errno !== 0) throw new NetlinkError(errno, reason);
        return isWhole;
      }
    }
    throw new NetlinkError(constants.errno.EPROTO, 'a dump without an end');
  }

  /** What answers an earlier request, given up as late, is passed over. */
  #receive(): NetlinkMessage {
    for (let datagrams = 0; datagrams < MOST_DATAGRAMS; datagrams++) {
      const answer = this.#awaited().find(({ sequence }) => sequence === this.#sequence);
      if (answer !== undefined) return answer;
    }
    throw noAnswer();
  }

  /**
   * Messages of one nfnetlink batch, the last but one of which asks for an acknowledgement. Throws NetlinkError if anything of it was
   * refused: then nothing of it happened.
   */
  batch(messages: readonly NetlinkMessage[]): void {
    const { refusals, isReached } = this.#sendTogether(messages, messages.length - 2);
    const [refusal] = refusals;
    if (refusal !== undefined) throw refusal;
    if (!isReached) throw noAnswer();
  }

  /** Requests that stand each for itself. Answers the refusals; throws NetlinkError if it is not known of all what became of them. */
  series(messages: readonly NetlinkMessage[]): readonly NetlinkError[] {
    const last = messages.length - 1;
    const acknowledged = messages.map((message, index) =>
      index === last ? { ...message, flags: message.flags | NetlinkFlag.ack } : message,
    );
    const { refusals, isReached } = this.#sendTogether(acknowledged, last);
    if (!isReached) throw noAnswer();
    return refusals;
  }

  /** All answers are there when the call returns: one for each message that is refused, and one for that which asks for it. */
  #sendTogether(
    messages: readonly NetlinkMessage[],
    acknowledged: number,
  ): { readonly refusals: readonly NetlinkError[]; readonly isReached: boolean } {
    const first = this.#sequence + 1;
    this.#send(Buffer.concat(messages.map((message) => this.#numbered(message))));
    const refusals: NetlinkError[] = [];
    let isReached = false;
    for (let datagrams = 0; datagrams < MOST_DATAGRAMS + messages.length; datagrams++) {
      const answers = this.#datagram(MSG_DONTWAIT);
      if (answers === undefined) break;
      for (const answer of answers) {
        const { sequence = 0 } = answer;
        if (answer.type !== NLMSG_ERROR || sequence < first || sequence > this.#sequence) continue;
        const { errno, reason } = decodeError(answer);
        if (errno !== 0) refusals.push(new NetlinkError(errno, reason));
        if (sequence === first + acknowledged) isReached = true;
      }
    }
    return { refusals, isReached };
  }

  /** Encoded under the next number. */
  #numbered(message: NetlinkMessage): Buffer {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return encodeMessage({ ...message, sequence: this.#sequence });
  }

  #send(bytes: Buffer): void {
    if (this.#libc.send(this.#fd, bytes, bytes.length, 0) < 0)
      throw new NetlinkError(koffi.errno(), undefined);
  }

  #awaited(): readonly NetlinkMessage[] {
    const messages = this.#datagram(0);
    if (messages === undefined) throw new NetlinkError(koffi.errno(), undefined);
    return messages;
  }

  /** Undefined: none has come, and errno says why. */
  #datagram(flags: number): readonly NetlinkMessage[] | undefined {
    const length = this.#libc.recv(this.#fd, this.#answer, this.#answer.length, flags);
    return length < 0 ? undefined : decodeMessages(this.#answer.subarray(0, length));
  }

  close(): void {
    this.#libc.close(this.#fd);
  }
}

function noAnswer(): NetlinkError {
  return new NetlinkError(constants.errno.EPROTO, 'no answer among what the kernel sent');
}
