// An end of a random packet's way: raw sockets in its namespace. It sends octets as they are, and takes every packet that its kernel
// has delivered, by the packet's number. Its kernel answers nothing by itself, so that no packet is there that was not drawn.

import { Proto } from '../../../support/policy-fuzz/packets.ts';
import { packetId } from '../../../support/policy-fuzz/raw-packet.ts';
import type { Namespace } from './namespaces.ts';
import { SocketType, sys } from './syscalls.ts';

const IPPROTO_RAW = 255;
const EPERM = 1;
/** Lets a packet out past the rule below. */
const SENDER_MARK = 0x7;
/** Drops what was not drawn, before conntrack sees it: a reset would end its flow there. */
const QUIET = `table inet quiet
delete table inet quiet
table inet quiet {
  chain output {
    type filter hook output priority -400; policy accept;
    meta mark ${SENDER_MARK} accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    drop
  }
}`;

interface Receiver {
  readonly fd: number;
  readonly protocol: number;
  readonly family: 4 | 6;
}

export class PacketEnd {
  readonly #senders: Readonly<Record<4 | 6, number>>;
  readonly #receivers: readonly Receiver[];

  private constructor(senders: Readonly<Record<4 | 6, number>>, receivers: readonly Receiver[]) {
    this.#senders = senders;
    this.#receivers = receivers;
  }

  static async create(namespace: Namespace): Promise<PacketEnd> {
    await namespace.exec('nft', QUIET);
    return namespace.inside(() => {
      const any = { 4: '0.0.0.0', 6: '::' } as const;
      const sender = (family: 4 | 6): number => {
        const fd = sys.socket(SocketType.raw, IPPROTO_RAW, any[family], 0);
        sys.setMark(fd, SENDER_MARK);
        return fd;
      };
      const receivers = ([4, 6] as const).flatMap((family) =>
        Object.values(Proto)
          .filter((protocol) => protocol !== (family === 4 ? Proto.icmpv6 : Proto.icmp))
          .map((protocol) => {
            const fd = sys.socket(SocketType.raw, protocol, any[family], 0);
            return { fd, protocol, family };
          }),
      );
      return new PacketEnd({ 4: sender(4), 6: sender(6) }, receivers);
    });
  }

  /** False where the kernel has no way for it. What its own output hook denies is sent, and counted there. */
  send(octets: Buffer, to: string): boolean {
    const isSent = sys.sendTo(this.#senders[to.includes(':') ? 6 : 4], octets, to, 0);
    return isSent || sys.errno() === EPERM;
  }

  /** Numbers of the packets that have come since the last call. */
  received(): number[] {
    const ids: number[] = [];
    for (const { fd, protocol, family } of this.#receivers) {
      for (let got = sys.receive(fd); got !== undefined; got = sys.receive(fd)) {
        const id = packetId(got.data, protocol, family);
        if (id !== undefined) ids.push(id);
      }
    }
    return ids;
  }

  close(): void {
    for (const fd of [...Object.values(this.#senders), ...this.#receivers.map((each) => each.fd)])
      sys.close(fd);
  }
}
