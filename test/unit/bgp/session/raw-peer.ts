// A peer that is nothing but a socket and a codec: sends what it is told, octet by octet if need be, and keeps what comes.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type CodecContext, UNNEGOTIATED } from '../../../../agents/bgp/packet/context.ts';
import { decodeMessage, encodeMessage, type Message } from '../../../../agents/bgp/packet/message.ts';
import { packAnnouncements } from '../../../../agents/bgp/packet/update.ts';
import { MessageFramer } from '../../../../agents/bgp/session/framing.ts';
import { cidr, ip } from '../rib/rib-support.ts';

const CONTEXT: CodecContext = {
  ...UNNEGOTIATED,
  peerType: 'internal',
  peerAsn: 65000,
  families: new Set(['ipv4Unicast', 'ipv6Unicast']),
};
const DEADLINE_MS = 5000;

export class RawPeer {
  readonly received: Message[] = [];
  /** How the connection ended: an orderly close, or an error's code. */
  readonly ended: Promise<string>;
  readonly #socket: Socket;
  readonly #framer = new MessageFramer();
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    let how = 'closed';
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code ?? 'error';
    });
    this.ended = new Promise((resolve) => socket.once('close', () => resolve(how)));
    socket.on('data', (chunk: Buffer) => {
      for (const octets of this.#framer.push(chunk, () => true))
        this.received.push(decodeMessage(octets, CONTEXT));
      this.#wake();
    });
    socket.on('close', () => this.#wake());
  }

  /** Connects from a loopback address of its own: that is how the speaker knows it. */
  static async connect(port: number, localAddress: string): Promise<RawPeer> {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    const peer = new RawPeer(socket);
    // Whoever is not wanted may be reset before it knows that it was connected.
    await Promise.race([once(socket, 'connect').catch(() => undefined), peer.ended]);
    return peer;
  }

  /** Listens where the speaker knows it, until the first connection has come. */
  static async accept(port: number, address: string): Promise<RawPeer> {
    const server = createServer().listen(port, address);
    const [socket] = (await once(server, 'connection', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [
      Socket,
    ];
    server.close();
    return new RawPeer(socket);
  }

  send(message: Message): void {
    this.#socket.write(encodeMessage(message, CONTEXT));
  }

  /** IPv4 prefixes of one path within the AS. */
  announce(...prefixes: string[]): void {
    const attributes = { origin: 'igp' as const, asPath: [], nextHop: ip('10.9.0.2'), localPref: 100 };
    const messages = packAnnouncements('ipv4Unicast', attributes, prefixes.map(cidr), CONTEXT) ?? [];
    for (const octets of messages) this.sendOctets(octets);
  }

  /** Reads nothing any more, until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  sendOctets(octets: Uint8Array): void {
    this.#socket.write(octets);
  }

  /** Resolves when the octets are on their way, or the connection is gone. */
  async sendAll(octets: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(octets, () => resolve()));
  }

  /** Each octet a write of its own. */
  async sendSlowly(octets: Uint8Array): Promise<void> {
    for (const octet of octets) {
      await this.sendAll(Uint8Array.of(octet));
    }
  }

  /** The first message of the type, waited for; the connection's end or the deadline fails. */
  async next<T extends Message['type']>(type: T): Promise<Extract<Message, { type: T }>> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const index = this.received.findIndex((message) => message.type === type);
      if (index >= 0) return this.received.splice(index, 1)[0] as Extract<Message, { type: T }>;
      if (this.#socket.destroyed || performance.now() > end) throw new Error(`no ${type} came`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, DEADLINE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
