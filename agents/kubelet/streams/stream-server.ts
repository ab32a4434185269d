// The kubelet's HTTPS port: exec over WebSocket and logs, for the API server alone (a client certificate of `system:masters`).

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { ExecProcess, ExecRequest } from '../runtime/container-runtime.ts';
import { type LogOptions, parseLogOptions } from '../runtime/log-lines.ts';
import { EXEC_PROTOCOL, serveExec } from './exec-session.ts';
import { type PodStreamRequest, parsePodPath } from './pod-path.ts';
import { StreamError, toStreamError } from './stream-error.ts';

/** What the server asks of the pods; throws StreamError. */
export interface PodStreams {
  openLog(
    namespace: string,
    pod: string,
    options: LogOptions,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>>;
  exec(
    namespace: string,
    pod: string,
    container: string | undefined,
    request: ExecRequest,
  ): Promise<ExecProcess>;
}

export interface StreamServerOptions {
  readonly address: string;
  readonly port: number;
  /** PEM. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly streams: PodStreams;
  readonly isHealthy: () => boolean;
  readonly logger: Logger;
  readonly now: () => Date;
}

const MASTERS = 'system:masters';
/** kubectl sends 32 KiB at a time. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const MAX_COMMAND_ARGUMENTS = 4096;

export class StreamServer implements Startable {
  readonly #options: StreamServerOptions;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #sockets = new Set<Duplex>();

  constructor(options: StreamServerOptions) {
    this.#options = options;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE_BYTES,
      handleProtocols: (offered) => (offered.has(EXEC_PROTOCOL) ? EXEC_PROTOCOL : false),
    });
    this.#server = createServer({
      ...options.tls,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    });
    this.#server.on('request', (request, response) => void this.#onRequest(request, response));
    this.#server.on('upgrade', (request, socket, head) => void this.#onUpgrade(request, socket, head));
    this.#server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', (error) =>
      options.logger.debug('a caller without a certificate of the cluster was refused', { error }),
    );
  }

  /** Port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async start(): Promise<void> {
    const { address, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, resolve);
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    try {
      if (request.url === '/healthz') {
        response.writeHead(this.#options.isHealthy() ? 200 : 500, { 'content-type': 'text/plain' });
        response.end(this.#options.isHealthy() ? 'ok' : 'not ready');
        return;
      }
      const found = this.#parse(request);
      if (found.stream !== 'log')
        throw new StreamError(
          'unsupported',
          `${found.stream} needs a WebSocket upgrade (${EXEC_PROTOCOL}); use a kubectl of 1.31 or newer`,
        );
      await this.#serveLog(found, response);
    } catch (error) {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const status = toStreamError(error).toStatus();
      response.writeHead(status.code ?? 500, { 'content-type': 'application/json' });
      response.end(JSON.stringify(status));
    }
  }

  async #serveLog({ namespace, pod, query }: PodStreamRequest, response: ServerResponse): Promise<void> {
    const parsed = parseLogOptions(query, this.#options.now().getTime());
    if (!parsed.ok) throw new StreamError('badRequest', parsed.problem);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const log = await this.#options.streams.openLog(namespace, pod, parsed.options, gone.signal);
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.flushHeaders();
    try {
      await pipeline(log, response);
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    }
  }

  async #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const found = this.#parse(request);
      const command = await this.#openExec(request, found);
      if (socket.destroyed) {
        command.hangUp();
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        serveExec(webSocket, command).catch((error: unknown) => {
          this.#options.logger.warn('exec ended badly', { pod: `${found.namespace}/${found.pod}`, error });
          webSocket.terminate();
        });
      });
    } catch (error) {
      refuseUpgrade(socket, toStreamError(error));
    }
  }

  async #openExec(request: IncomingMessage, found: PodStreamRequest): Promise<ExecProcess> {
    const { namespace, pod, stream, query } = found;
    if (stream !== 'exec') throw new StreamError('unsupported', `${stream} is not supported by this kubelet`);
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      throw new StreamError(
        'unsupported',
        `exec is served over WebSocket (${EXEC_PROTOCOL}) only, not over ${request.headers.upgrade ?? 'HTTP'}`,
      );
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(EXEC_PROTOCOL))
      throw new StreamError('unsupported', `exec needs the subprotocol ${EXEC_PROTOCOL}`);
    return this.#options.streams.exec(namespace, pod, query.get('container') ?? undefined, parseExec(query));
  }

  #parse(request: IncomingMessage): PodStreamRequest {
    const subject = (request.socket as TLSSocket).getPeerCertificate().subject as
      | { O?: string | string[] }
      | undefined;
    const groups = [subject?.O ?? []].flat();
    if (!groups.includes(MASTERS))
      throw new StreamError('forbidden', 'the kubelet serves the API server only');
    const found = parsePodPath(request.url ?? '/');
    if (found === undefined)
      throw new StreamError('notFound', 'the kubelet does not serve the requested path');
    return found;
  }
}

function parseExec(query: URLSearchParams): ExecRequest {
  const argv = query.getAll('command');
  if (argv.length === 0) throw new StreamError('badRequest', 'you must specify at least one command');
  if (argv.length > MAX_COMMAND_ARGUMENTS) throw new StreamError('badRequest', 'the command is too long');
  const isSet = (name: string): boolean => query.get(name) === 'true' || query.get(name) === '1';
  const tty = isSet('tty');
  return {
    argv,
    stdin: isSet('stdin'),
    stdout: isSet('stdout'),
    stderr: isSet('stderr') && !tty,
    tty,
  };
}

function refuseUpgrade(socket: Duplex, error: StreamError): void {
  const status = error.toStatus();
  const body = JSON.stringify(status);
  socket.end(
    `HTTP/1.1 ${status.code ?? 500} ${status.reason ?? 'Error'}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
