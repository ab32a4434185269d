// The node API: what calicoctl asks of a host, over HTTPS with client certificates, reached through the controller; and
// health and metrics on localhost without (docs/interfaces.md "command line → node").

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { RecordRing, RingRecord } from '../../lib/events/record-ring.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { PageOptions } from '../../lib/protocol/bgpd-client.ts';
import type { FlowRecord } from '../../lib/protocol/flow-record.ts';
import {
  EVENT_RECORDS,
  encodeRecordLine,
  FLOW_RECORDS,
  type RecordKind,
  type RecordLine,
} from '../../lib/protocol/record-lines.ts';
import type { StreamGaps } from '../../lib/protocol/stream-gaps.ts';

export interface NodeApiSources {
  readonly events: EventLog;
  readonly flows: RecordRing<FlowRecord>;
  /** What of the host's traffic is in no record, and what staged policies would do. */
  readonly flowStatus: () => object;
  /** What of events and flow records is not in the cluster's streams. */
  readonly streamGaps: () => StreamGaps;
  readonly status: () => Promise<object>;
  /** The table with every number resolved, as text. */
  readonly rules: () => Promise<string>;
  /** bgpd's answers; they throw where it does not answer, or knows no such peer. */
  readonly rib: (page: PageOptions) => Promise<object>;
  readonly ribIn: (peer: string, page: PageOptions) => Promise<object>;
  readonly ribOut: (peer: string, page: PageOptions) => Promise<object>;
  readonly why: (prefix: string) => Promise<object>;
  readonly history: (peer: string, raw: boolean) => Promise<object>;
  /** Sentences on why the node is not ready; empty if it is. */
  readonly notReady: () => readonly string[];
  /** Sentences on why the process should be started again; empty if it works. */
  readonly notAlive: () => readonly string[];
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
}

export interface NodeApiOptions {
  readonly sources: NodeApiSources;
  readonly logger: Logger;
  readonly port: number;
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
}

/** Whose certificates may ask: administrators and the API server. */
const ALLOWED_GROUPS = ['system:masters'];

export abstract class HttpListener implements Startable {
  readonly #sockets = new Set<Socket>();
  protected abstract readonly server: Server;
  readonly #port: number;
  readonly #address: string | undefined;

  /** Without an address it listens on all. */
  constructor(port: number, address: string | undefined) {
    this.#port = port;
    this.#address = address;
  }

  async start(): Promise<void> {
    this.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.#port, this.#address, resolve);
    });
    this.server.on('error', () => undefined);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export class NodeApi extends HttpListener {
  protected readonly server: Server;
  readonly #options: NodeApiOptions;

  constructor(options: NodeApiOptions) {
    super(options.port, '0.0.0.0');
    this.#options = options;
    const server = createHttpsServer({
      ...options.tls,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    });
    server.on(
      'request',
      (request: IncomingMessage, response: ServerResponse) => void this.#handle(request, response),
    );
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.server = server;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    try {
      const url = new URL(request.url ?? '/', 'https://agent');
      if (!isAllowed(request.socket as TLSSocket))
        return sendJson(response, 403, { error: 'this certificate may not ask the node API' });
      await this.#dispatch(url, response);
    } catch (error) {
      this.#options.logger.warn('node API request failed', { path: request.url, error });
      const message = error instanceof Error ? error.message : String(error);
      if (response.headersSent) response.destroy();
      else sendJson(response, 503, { error: message });
    }
  }

  async #dispatch(url: URL, response: ServerResponse): Promise<void> {
    const { sources } = this.#options;
    switch (url.pathname) {
      case '/v1/status':
        return sendJson(response, 200, await sources.status());
      case '/v1/rules':
        return sendText(response, 200, await sources.rules());
      case '/v1/rib':
        return sendJson(response, 200, await sources.rib(pageOf(url.searchParams)));
      case '/v1/rib-in':
        return sendJson(response, 200, await sources.ribIn(peerOf(url), pageOf(url.searchParams)));
      case '/v1/rib-out':
        return sendJson(response, 200, await sources.ribOut(peerOf(url), pageOf(url.searchParams)));
      case '/v1/why':
        return sendJson(response, 200, await sources.why(url.searchParams.get('prefix') ?? ''));
      case '/v1/history': {
        const isRaw = url.searchParams.get('raw') === 'true';
        return sendJson(response, 200, await sources.history(peerOf(url), isRaw));
      }
      case '/v1/events':
        return sendRecords(sources.events.ring, EVENT_RECORDS, url, response);
      case '/v1/flows':
        return sendRecords(sources.flows, FLOW_RECORDS, url, response);
      case '/v1/flow-status':
        return sendJson(response, 200, sources.flowStatus());
      case '/v1/gaps':
        return sendJson(response, 200, sources.streamGaps());
      case '/v1/metrics':
        return sendText(response, 200, await sources.metrics());
      default:
        return sendJson(response, 404, { error: `there is no ${url.pathname}` });
    }
  }
}

/** Lines of JSON: the records after `after`, then, with `follow`, each as it comes. */
function sendRecords<T extends RingRecord>(
  ring: RecordRing<T>,
  kind: RecordKind<T>,
  url: URL,
  response: ServerResponse,
): void {
  const write = (line: RecordLine<T>): void =>
    void response.write(`${JSON.stringify(encodeRecordLine(kind, line))}\n`);
  const { records, lost } = ring.read(Number(url.searchParams.get('after') ?? 0));
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  if (lost > 0) write({ gap: { host: ring.host, count: lost } });
  for (const record of records) write({ record });
  if (url.searchParams.get('follow') !== 'true') {
    response.end();
    return;
  }
  const unfollow = ring.follow((record) => {
    // A reader that does not read is cut off rather than kept in memory.
    if (response.writableLength > 4 * 1024 * 1024) response.destroy();
    else write({ record });
  });
  response.on('close', unfollow);
}

function peerOf({ searchParams }: URL): string {
  return searchParams.get('peer') ?? '';
}

/** `prefix`, and `limit` where it is a count; bgpd judges the rest. */
function pageOf(parameters: URLSearchParams): PageOptions {
  const prefix = parameters.get('prefix');
  const limit = Number(parameters.get('limit'));
  return {
    ...(prefix === null ? {} : { prefix }),
    ...(Number.isInteger(limit) && limit > 0 ? { limit } : {}),
  };
}

function isAllowed(socket: TLSSocket): boolean {
  const subject = socket.getPeerCertificate().subject as { O?: string | string[] } | undefined;
  const groups = subject?.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
  return socket.authorized && groups.some((group) => ALLOWED_GROUPS.includes(group));
}

export class HealthServer extends HttpListener {
  protected readonly server: Server;

  constructor(sources: NodeApiSources, port: number, host: string) {
    super(port, host);
    // Metrics tell more than health does: here they are for this host alone.
    const hasMetrics = host === '127.0.0.1' || host === '::1';
    this.server = createHttpServer(
      (request, response) => void answerHealth(sources, hasMetrics, request, response),
    );
  }
}

/** What Prometheus reads, with TLS where there are certificates. */
export class MetricsServer extends HttpListener {
  protected readonly server: Server;

  constructor(
    sources: NodeApiSources,
    port: number,
    host: string | undefined,
    tls: { readonly ca?: Buffer; readonly cert: Buffer; readonly key: Buffer } | undefined,
  ) {
    super(port, host);
    const answer = (request: IncomingMessage, response: ServerResponse): void =>
      void answerMetrics(sources, request, response);
    this.server =
      tls === undefined
        ? createHttpServer(answer)
        : createHttpsServer(
            {
              ...tls,
              requestCert: tls.ca !== undefined,
              rejectUnauthorized: tls.ca !== undefined,
              minVersion: 'TLSv1.2',
            },
            answer,
          );
    this.server.on('tlsClientError', (_error, socket) => socket.destroy());
  }
}

async function answerMetrics(
  sources: NodeApiSources,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on('error', () => response.destroy());
  if (request.url !== '/metrics') return sendText(response, 404, 'metrics are served\n');
  return sendText(response, 200, await sources.metrics());
}

async function answerHealth(
  sources: NodeApiSources,
  hasMetrics: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on('error', () => response.destroy());
  if (request.url === '/liveness') return sendReasons(response, sources.notAlive());
  if (request.url === '/metrics' && hasMetrics) return sendText(response, 200, await sources.metrics());
  if (request.url !== '/readiness')
    return sendText(
      response,
      404,
      `liveness${hasMetrics ? ', readiness and metrics' : ' and readiness'} are served\n`,
    );
  return sendReasons(response, sources.notReady());
}

function sendReasons(response: ServerResponse, reasons: readonly string[]): void {
  if (reasons.length === 0) sendText(response, 200, 'ok\n');
  else sendText(response, 503, `${reasons.join('\n')}\n`);
}

function sendJson(response: ServerResponse, code: number, value: object): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(value)}\n`);
}

function sendText(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}
