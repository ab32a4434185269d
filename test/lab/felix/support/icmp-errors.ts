// ICMP errors that come to an end: who says of which flow that it went nowhere.

import { formatIp } from '../../../../lib/net/ip.ts';
import type { Namespace } from './namespaces.ts';
import { IpProtocol, SocketType, sys } from './syscalls.ts';

export interface IcmpError {
  readonly type: number;
  readonly code: number;
  /** Destination of the packet that it is about, its protocol and, where it has one, port. */
  readonly about: string;
}

const HEADER_BYTES = 8;
const DESTINATION_UNREACHABLE = { 4: 3, 6: 1 } as const;

export class IcmpErrors {
  readonly #sockets: Readonly<Record<4 | 6, number>>;
  readonly #seen: IcmpError[] = [];

  constructor(namespace: Namespace) {
    this.#sockets = namespace.inside(() => ({
      4: sys.socket(SocketType.raw, IpProtocol.icmp, '0.0.0.0', 0),
      6: sys.socket(SocketType.raw, IpProtocol.icmpv6, '::', 0),
    }));
  }

  /** All that have come since it was made. */
  get seen(): readonly IcmpError[] {
    for (const family of [4, 6] as const) {
      for (let got = sys.receive(this.#sockets[family]); got; got = sys.receive(this.#sockets[family])) {
        const error = family === 4 ? errorOf4(got.data) : errorOf6(got.data);
        if (error !== undefined) this.#seen.push(error);
      }
    }
    return this.#seen;
  }

  close(): void {
    for (const fd of Object.values(this.#sockets)) sys.close(fd);
  }
}

function errorOf4(packet: Buffer): IcmpError | undefined {
  const icmp = packet.subarray((packet.readUInt8(0) & 0xf) * 4);
  if (icmp.readUInt8(0) !== DESTINATION_UNREACHABLE[4]) return undefined;
  const inner = icmp.subarray(HEADER_BYTES);
  const ports = inner.subarray((inner.readUInt8(0) & 0xf) * 4);
  return errorOf(icmp, inner.subarray(16, 20), inner.readUInt8(9), ports);
}

/** A raw socket of IPv6 gives no header; none here has extensions. */
function errorOf6(icmp: Buffer): IcmpError | undefined {
  if (icmp.readUInt8(0) !== DESTINATION_UNREACHABLE[6]) return undefined;
  const inner = icmp.subarray(HEADER_BYTES);
  return errorOf(icmp, inner.subarray(24, 40), inner.readUInt8(6), inner.subarray(40));
}

function errorOf(icmp: Buffer, destination: Buffer, protocol: number, ports: Buffer): IcmpError {
  const family = destination.length === 4 ? 4 : 6;
  const address = formatIp({ family, value: BigInt(`0x${destination.toString('hex')}`) });
  const hasPorts = protocol === IpProtocol.tcp || protocol === IpProtocol.udp;
  const about = `${address} ${protocol}${hasPorts ? ` ${ports.readUInt16BE(2)}` : ''}`;
  return { type: icmp.readUInt8(0), code: icmp.readUInt8(1), about };
}
