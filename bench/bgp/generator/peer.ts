// A peer that the generator plays: the least of a session that every daemon accepts (RFC 4271 §8, collapsed), and its inbox.
// It offers four-octet AS numbers, one family, and End-of-RIB without any family to keep (RFC 4724 §4).

import { connect, type Socket } from 'node:net';
import { ASN, BGP_PORT, DAEMON_ADDRESS, peerAddress, peerOctets } from '../topology.ts';
import { Inbox } from './inbox.ts';
import { message, uint16, uint32 } from './route-table.ts';

const MessageType = { open: 1, notification: 3, keepalive: 4 } as const;
const HOLD_SECONDS = 180;
const RETRY_MS = 20;
/** Cease, administrative reset. */
const RESET = [6, 4] as const;

export interface PeerOptions {
  /** From 1; decides the address. */
  readonly index: number;
  readonly family: 4 | 6;
  /** About how much it will receive in one go. */
  readonly expectedOctets: number;
  /** An established session has ended by itself. */
  readonly onLost: (peer: Peer, reason: string) => void;
}

export class Peer {
  readonly index: number;
  readonly inbox: Inbox;
  /** Monotonic milliseconds. */
  establishedAt = Number.NaN;
  /** Called after each read. */
  onProgress: () => void = () => undefined;
  readonly #options: PeerOptions;
  #socket: Socket | undefined;
  #isEstablished = false;
  #hasEnded = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #reason = '';
  #onEstablished: () => void = () => undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.index = options.index;
    this.inbox = new Inbox(options.expectedOctets, (type, body) => this.#receive(type, body));
  }

  /** Octets that have arrived, for seeing whether any still do. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  /** Tries until there is a session. */
  establish(): Promise<void> {
    this.#hasEnded = false;
    return new Promise((resolve) => {
      this.#onEstablished = resolve;
      this.#connect();
    });
  }

  write(messages: Uint8Array): void {
    this.#socket?.write(messages);
  }

  /** Ends the session with Cease, administrative reset. */
  reset(): void {
    this.#socket?.end(message(MessageType.notification, RESET));
    this.#leave();
  }

  /** Is gone without a word: RST. */
  vanish(): void {
    this.#socket?.resetAndDestroy();
    this.#leave();
  }

  #leave(): void {
    this.#hasEnded = true;
    this.#isEstablished = false;
    this.#socket = undefined;
    clearTimeout(this.#retryTimer);
  }

  #connect(): void {
    this.inbox.reset();
    const socket = connect({
      host: DAEMON_ADDRESS,
      port: BGP_PORT,
      localAddress: peerAddress(this.index),
      noDelay: true,
      onread: {
        buffer: () => this.inbox.room(),
        callback: (count, buffer) => {
          if (this.#socket !== socket) return false;
          this.inbox.push(buffer.subarray(0, count));
          this.onProgress();
          return true;
        },
      },
    });
    this.#socket = socket;
    socket.on('connect', () => socket.write(this.#open()));
    socket.on('error', (error) => {
      this.#reason = error.message;
    });
    socket.on('close', () => this.#closed(socket));
  }

  #closed(socket: Socket): void {
    if (this.#hasEnded || this.#socket !== socket) return;
    if (this.#isEstablished) {
      this.#isEstablished = false;
      this.#options.onLost(this, this.#reason === '' ? 'closed by the daemon' : this.#reason);
      return;
    }
    this.#retryTimer = setTimeout(() => this.#connect(), RETRY_MS);
  }

  #open(): Uint8Array {
    const afi = this.#options.family === 4 ? 1 : 2;
    const capabilities = [
      [1, 4, 0, afi, 0, 1],
      [64, 2, 0, 0],
      [65, 4, ...uint32(ASN)],
    ].flat();
    const parameters = [2, capabilities.length, ...capabilities];
    const fixed = [4, ...uint16(ASN), ...uint16(HOLD_SECONDS), ...peerOctets(this.index)];
    return message(MessageType.open, fixed, [parameters.length, ...parameters]);
  }

  #receive(type: number, body: Uint8Array): void {
    if (type === MessageType.open) this.write(message(MessageType.keepalive));
    else if (type === MessageType.notification) this.#reason = `NOTIFICATION ${body[0] ?? 0}/${body[1] ?? 0}`;
    else if (type === MessageType.keepalive && !this.#isEstablished) {
      this.#isEstablished = true;
      this.establishedAt = performance.now();
      this.#onEstablished();
    }
  }
}
