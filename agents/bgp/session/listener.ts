// Listening sockets. Who may not connect is closed in the accept handler and counted. TCP-MD5 keys of all peers stand on
// the listener of their family before it listens, so that unsigned segments die in the kernel.

import { createServer, type Server, type Socket } from 'node:net';
import { isNativeError } from 'node:util/types';
import type { Logger } from '../../../lib/logging/logger.ts';
import { cidrContains, formatCidr, parseIp, parseScopedIp } from '../../../lib/net/ip.ts';
import { Admission, type Refusal } from './admission.ts';
import { fdOf, type Md5Key, openSocket, saveSyns, setGreatestTtl, setMd5Key } from './libc.ts';
import { MinuteLog } from './minute-log.ts';

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** What the listener's own sockets need for its peers. */
export interface Protection {
  readonly keys: readonly Md5Key[];
  /** Some peer has `ttlSecurity`: SYN-ACKs leave with TTL 255, and SYNs are kept to be looked at. */
  readonly ttlSecurity: boolean;
}

export interface ListenerOptions {
  readonly log: Logger;
  /** Whether a configured peer has the address. */
  readonly isPeer: (remoteAddress: string) => boolean;
  /** Takes the connection of a peer, or says why not. The address has a zone if it is link-local. */
  readonly accept: (socket: Socket, remoteAddress: string) => 'taken' | Refusal;
}

const BACKLOG = 512;
const RETRY_MS = 2000;

/** A key to set, or without a password one to take away. */
type ListenerKey = Pick<Md5Key, 'network'> & Partial<Md5Key>;

interface Listening {
  readonly server: Server;
  readonly family: 4 | 6;
  retry: NodeJS.Timeout | undefined;
}

export class BgpListener {
  readonly #options: ListenerOptions;
  readonly #admission = new Admission();
  readonly #refusals: MinuteLog<Refusal>;
  readonly #servers = new Map<string, Listening>();
  readonly #keys = new Map<string, Md5Key>();
  /** Networks whose key could not be set, with the reason: nothing of theirs is taken, as it would be unprotected. */
  readonly #failedKeys = new Map<string, { readonly key: Md5Key; readonly reason: string }>();
  #ttlSecurity = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#refusals = new MinuteLog((address, counts) =>
      options.log.warn('more connections refused in the last minute', { address, ...counts }),
    );
  }

  /** Connections refused since the start, by reason. */
  get refused(): Readonly<Partial<Record<Refusal, number>>> {
    return this.#refusals.totals;
  }

  /** Why connections from the address are refused that would be unprotected; undefined where they would not be. */
  keyProblem(address: string): string | undefined {
    const scoped = parseScopedIp(address);
    if (scoped === undefined) return undefined;
    const failed = [...this.#failedKeys.values()];
    return failed.find(({ key }) => cidrContains(key.network, scoped.address))?.reason;
  }

  /** Opens what is new and closes what is not wanted any more; an address in use is tried again. */
  configure(addresses: readonly ListenAddress[]): void {
    const wanted = new Map(addresses.map((entry) => [`${entry.address} ${entry.port}`, entry]));
    for (const [key, listening] of this.#servers) if (!wanted.has(key)) this.#close(key, listening);
    for (const [key, entry] of wanted) if (!this.#servers.has(key)) this.#open(key, entry);
  }

  /** Keys that are left out are taken away. A key change acts on the next handshake. */
  protect({ keys, ttlSecurity }: Protection): void {
    const wanted = new Map(keys.map((key) => [formatCidr(key.network), key]));
    const changed: ListenerKey[] = [];
    for (const [text, { network }] of this.#keys) {
      if (wanted.has(text)) continue;
      this.#keys.delete(text);
      this.#failedKeys.delete(text);
      changed.push({ network });
    }
    for (const [text, key] of wanted) {
      if (this.#keys.get(text)?.password === key.password && !this.#failedKeys.has(text)) continue;
      this.#keys.set(text, key);
      changed.push(key);
    }
    this.#onEach((listening) => this.#setKeys(listening, changed));
    this.#ttlSecurity = ttlSecurity;
    if (ttlSecurity) this.#onEach((listening) => this.#raiseTtl(listening));
  }

  stop(): void {
    this.#refusals.stop();
    for (const [key, listening] of this.#servers) this.#close(key, listening);
  }

  #onEach(act: (listening: Listening) => void): void {
    for (const listening of this.#servers.values()) act(listening);
  }

  #open(key: string, { address, port }: ListenAddress): void {
    const { log } = this.#options;
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    const family = parseIp(address)?.family ?? 4;
    const listening: Listening = { server, family, retry: undefined };
    this.#servers.set(key, listening);
    const listen = (): void => this.#listen(listening, { address, port });
    let complained = false;
    server.on('error', (error) => {
      if (!complained) log.warn('cannot listen, will try again', { address, port, error: error.message });
      complained = true;
      listening.retry = setTimeout(listen, RETRY_MS);
    });
    server.on('listening', () => {
      log.info('listening', { address, port });
      // What has been configured since the socket was made, and what could not be set on it.
      this.#setKeys(listening, [...this.#keys.values()]);
      if (this.#ttlSecurity) this.#raiseTtl(listening);
    });
    listen();
  }

  /** With keys the socket is made here: one of Node's would listen for a moment without them. */
  #listen({ server, family }: Listening, { address, port }: ListenAddress): void {
    const keys = [...this.#keys.values()].filter(({ network }) => network.family === family);
    const fd = keys.length === 0 ? undefined : this.#keyedSocket(family, keys, { address, port });
    if (fd === undefined) server.listen({ host: address, port, backlog: BACKLOG, ipv6Only: family === 6 });
    else server.listen({ fd, backlog: BACKLOG });
  }

  /** Undefined where it cannot be had: the listener then takes only what needs no key. */
  #keyedSocket(family: 4 | 6, keys: readonly Md5Key[], listen: ListenAddress): number | undefined {
    const address = parseIp(listen.address);
    if (address === undefined) return undefined;
    try {
      const bind = { address, port: listen.port, zone: undefined };
      return openSocket({ family, keys, bind, greatestTtl: false, minTtl: undefined, forListening: true });
    } catch {
      return undefined;
    }
  }

  #accept(socket: Socket): void {
    const remote = socket.remoteAddress;
    // Without an address it has gone again already.
    const verdict = remote === undefined ? 'notNow' : this.#judge(socket, remote);
    if (verdict === 'taken') return;
    // A RST costs least, and an error after it is nobody's business.
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
    if (remote !== undefined && this.#refusals.isFirst(remote, verdict)) {
      this.#options.log.warn('connection refused', { address: remote, reason: verdict });
    }
  }

  #judge(socket: Socket, remote: string): 'taken' | Refusal {
    const isPeer = this.#options.isPeer(remote);
    if (!this.#admission.admits(remote, isPeer, performance.now())) return 'tooOften';
    if (this.keyProblem(remote) !== undefined) return 'unprotected';
    return this.#options.accept(socket, remote);
  }

  /** Sets keys, or takes those away that have no password. Those that fail are one line: they may be thousands. */
  #setKeys({ server, family }: Listening, keys: readonly ListenerKey[]): void {
    const fd = fdOf(server);
    if (fd === undefined) return;
    const reasons: string[] = [];
    for (const { network, password } of keys) {
      if (network.family !== family) continue;
      const reason = keyFailure(fd, network, password);
      const text = formatCidr(network);
      if (reason === undefined) this.#failedKeys.delete(text);
      else if (password !== undefined) this.#failedKeys.set(text, { key: { network, password }, reason });
      if (reason !== undefined) reasons.push(reason);
    }
    const [reason] = reasons;
    if (reason === undefined) return;
    this.#options.log.error('TCP-MD5 keys cannot be set on the listener', { count: reasons.length, reason });
  }

  #raiseTtl({ server, family }: Listening): void {
    const fd = fdOf(server);
    if (fd === undefined) return;
    try {
      setGreatestTtl(fd, family);
      saveSyns(fd);
    } catch (error) {
      // A connection whose SYN was not kept is refused where `ttlSecurity` is configured.
      this.#options.log.error('cannot set the TTL of the listener', { error });
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

/** Why the key cannot be set; undefined if it could. */
function keyFailure(
  fd: number,
  network: Md5Key['network'],
  password: string | undefined,
): string | undefined {
  try {
    setMd5Key(fd, network, password);
    return undefined;
  } catch (error) {
    return isNativeError(error) ? error.message : String(error);
  }
}
