// Listening sockets: configured peers only. Anyone else is closed in the accept handler, counted, and logged once a
// minute. TCP-MD5 keys of all peers stand on the listener of their family, so that unsigned segments die in the kernel.

import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { IpAddress } from '../../../lib/net/ip.ts';
import { formatIp, parseIp } from '../../../lib/net/ip.ts';
import { setMd5Key } from './libc.ts';

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

export interface ListenerOptions {
  readonly log: Logger;
  /** Takes the connection of a configured peer; false if there is none with this address. */
  readonly accept: (socket: Socket, remoteAddress: string) => boolean;
}

const BACKLOG = 512;
const LOG_INTERVAL_MS = 60_000;
const RETRY_MS = 2000;

interface Listening {
  readonly server: Server;
  readonly family: 4 | 6;
  retry: NodeJS.Timeout | undefined;
}

export class BgpListener {
  readonly #options: ListenerOptions;
  readonly #servers = new Map<string, Listening>();
  readonly #keys = new Map<string, { readonly peer: IpAddress; readonly password: string }>();
  /** Peers whose key could not be set: nothing of theirs is taken, as it would be unprotected. */
  readonly #failedKeys = new Set<string>();
  #unknown = 0;
  #unknownUnlogged = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Connections from addresses that no peer has. */
  get unknownSources(): number {
    return this.#unknown;
  }

  /** Opens what is new and closes what is not wanted any more; an address in use is tried again. */
  configure(addresses: readonly ListenAddress[]): void {
    const wanted = new Map(addresses.map((entry) => [`${entry.address} ${entry.port}`, entry]));
    for (const [key, listening] of this.#servers) if (!wanted.has(key)) this.#close(key, listening);
    for (const [key, entry] of wanted) if (!this.#servers.has(key)) this.#open(key, entry);
  }

  /** Keys by address text; those left out are taken away. A key change acts on the next handshake. */
  setKeys(keys: ReadonlyMap<string, { readonly peer: IpAddress; readonly password: string }>): void {
    for (const [address, { peer }] of this.#keys) {
      if (keys.has(address)) continue;
      this.#keys.delete(address);
      for (const listening of this.#servers.values()) this.#setKey(listening, peer, undefined);
    }
    for (const [address, key] of keys) {
      if (this.#keys.get(address)?.password === key.password) continue;
      this.#keys.set(address, key);
      for (const listening of this.#servers.values()) this.#setKey(listening, key.peer, key.password);
    }
  }

  stop(): void {
    for (const [key, listening] of this.#servers) this.#close(key, listening);
  }

  #open(key: string, { address, port }: ListenAddress): void {
    const { log } = this.#options;
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    const family = parseIp(address)?.family ?? 4;
    const listening: Listening = { server, family, retry: undefined };
    this.#servers.set(key, listening);
    const listen = (): void => {
      server.listen({ host: address, port, backlog: BACKLOG, ipv6Only: family === 6 });
    };
    let complained = false;
    server.on('error', (error) => {
      if (!complained) log.warn('cannot listen, will try again', { address, port, error: error.message });
      complained = true;
      listening.retry = setTimeout(listen, RETRY_MS);
    });
    server.on('listening', () => {
      log.info('listening', { address, port });
      for (const { peer, password } of this.#keys.values()) this.#setKey(listening, peer, password);
    });
    listen();
  }

  #accept(socket: Socket): void {
    const remote = socket.remoteAddress;
    const isUnprotected = remote !== undefined && this.#failedKeys.has(remote);
    if (remote !== undefined && !isUnprotected && this.#options.accept(socket, remote)) return;
    // A RST costs least, and an error after it is nobody's business.
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
    this.#unknown++;
    this.#unknownUnlogged++;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_INTERVAL_MS) return;
    this.#options.log.warn('connection from an unknown address refused', {
      address: remote,
      count: this.#unknownUnlogged,
    });
    this.#loggedAt = now;
    this.#unknownUnlogged = 0;
  }

  #setKey({ server, family }: Listening, peer: IpAddress, password: string | undefined): void {
    const fd = (server as unknown as { _handle: { fd: number } | null })._handle?.fd;
    if (fd === undefined || fd < 0 || peer.family !== family) return;
    try {
      setMd5Key(fd, peer, password);
      this.#failedKeys.delete(formatIp(peer));
    } catch (error) {
      if (password !== undefined) this.#failedKeys.add(formatIp(peer));
      this.#options.log.error('cannot set the TCP-MD5 key of a peer on the listener', { error });
    }
  }

  #close(key: string, { server, retry }: Listening): void {
    clearTimeout(retry);
    this.#servers.delete(key);
    server.removeAllListeners('error');
    server.on('error', () => undefined);
    server.close();
  }
}
