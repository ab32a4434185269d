// Unix socket of bgpd: JSON lines, any number of clients (docs/interfaces.md "agent → bgpd"). A client that does not
// read loses events, which it is told; it never holds up the speaker.

import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { isNativeError } from 'node:util/types';
import type { CalicoEvent } from '../../../lib/events/event.ts';
import type { EventLog } from '../../../lib/events/event-log.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { readLines } from '../../../lib/process/read-lines.ts';
import {
  BGPD_MAX_LINE,
  BGPD_PROTOCOL_VERSION,
  type BgpdRequest,
  type BgpdResponse,
  bgpdRequestSchema,
  fieldErrors,
} from '../../../lib/protocol/bgpd.ts';
import type { BgpdEvent } from '../../../lib/protocol/bgpd-status.ts';

export interface ControlOptions {
  readonly path: string;
  readonly host: string;
  readonly log: Logger;
  readonly events: EventLog;
  readonly configurationNumber: () => number | undefined;
  /** Answers everything but `events`, in the order of arrival. */
  readonly handle: (request: Exclude<BgpdRequest, { type: 'events' }>) => Promise<BgpdResponse>;
}

export class AlreadyRunningError extends Error {
  readonly type: { readonly code: 'alreadyRunning'; readonly path: string };

  constructor(path: string) {
    super(`another bgpd answers on ${path}`);
    this.name = 'AlreadyRunningError';
    this.type = { code: 'alreadyRunning', path };
  }
}

/** Unsent octets beyond which a client gets no more events, and no more answers, until it has read. */
const MAX_UNSENT = 8 * 1024 * 1024;
/** Requests that may wait for those before them; beyond them nothing more is read. */
const MAX_WAITING = 64;

export class ControlServer {
  readonly #options: ControlOptions;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #eventsLost = 0;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Events that slow clients have missed. */
  get eventsLost(): number {
    return this.#eventsLost;
  }

  /** Takes the path over from a process that is gone; throws AlreadyRunningError if somebody answers there. */
  async start(): Promise<void> {
    const { path } = this.#options;
    if (await answers(path)) throw new AlreadyRunningError(path);
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // Binds before it returns. The mode must be right from the first moment on: whoever can connect can configure.
      const umask = process.umask(0o177);
      try {
        this.#server.listen({ path }, () => {
          this.#server.off('error', reject);
          resolve();
        });
      } finally {
        process.umask(umask);
      }
    });
  }

  /** Lets answers under way reach their clients. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#clients) {
      socket.end();
      setTimeout(() => socket.destroy(), 500).unref();
    }
    await closed;
  }

  #serve(socket: Socket): void {
    this.#clients.add(socket);
    let unfollow = (): void => undefined;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      unfollow();
      this.#clients.delete(socket);
    });
    const { host } = this.#options;
    const number = this.#options.configurationNumber();
    send(socket, {
      type: 'hello',
      version: BGPD_PROTOCOL_VERSION,
      host,
      ...(number === undefined ? {} : { configurationNumber: number }),
    });
    let queue = Promise.resolve();
    let waiting = 0;
    const answer = async (line: string): Promise<void> => {
      await hasRead(socket);
      const request = parseRequest(line);
      if ('error' in request) return send(socket, request.error);
      // Gone while an earlier request was answered: nothing would ever end its following.
      if (socket.destroyed) return;
      if (request.type === 'events') {
        unfollow();
        unfollow = this.#follow(socket, request);
        return;
      }
      send(socket, { ...(await this.#handle(request)), id: request.id });
    };
    readLines(socket, BGPD_MAX_LINE, (line) => {
      if (++waiting > MAX_WAITING) socket.pause();
      queue = queue.then(async () => {
        await answer(line);
        if (--waiting === 0) socket.resume();
      });
    });
  }

  /** Who asked is told why it could not be done, and decides whether to ask again. */
  async #handle(request: Exclude<BgpdRequest, { type: 'events' }>): Promise<BgpdResponse> {
    try {
      return await this.#options.handle(request);
    } catch (error) {
      this.#options.log.error('request failed', { request: request.type, error });
      const message = isNativeError(error) ? error.message : String(error);
      return { type: 'error', code: 'failed', message };
    }
  }

  #follow(socket: Socket, request: Extract<BgpdRequest, { type: 'events' }>): () => void {
    const { events: past, lost } = this.#options.events.read(request.afterSeq);
    if (lost > 0) send(socket, { type: 'eventsLost', count: lost, id: request.id });
    let missed = 0;
    const deliver = (event: CalicoEvent): void => {
      if (socket.writableLength > MAX_UNSENT) {
        missed++;
        this.#eventsLost++;
        return;
      }
      if (missed > 0) send(socket, { type: 'eventsLost', count: missed, id: request.id });
      missed = 0;
      send(socket, { type: 'event', event: event as BgpdEvent, id: request.id });
    };
    for (const event of past) deliver(event);
    return this.#options.events.follow(deliver);
  }
}

function send(socket: Socket, response: BgpdResponse): void {
  if (!socket.writableEnded && !socket.destroyed) socket.write(`${JSON.stringify(response)}\n`);
}

/** Until what was sent has been read, if it is too much, or the client is gone. */
async function hasRead(socket: Socket): Promise<void> {
  if (socket.writableLength <= MAX_UNSENT || socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      socket.off('drain', finish);
      socket.off('close', finish);
      resolve();
    };
    socket.on('drain', finish);
    socket.on('close', finish);
  });
}

function parseRequest(line: string): BgpdRequest | { readonly error: BgpdResponse } {
  let document: unknown;
  try {
    document = JSON.parse(line);
  } catch {
    return { error: { type: 'error', code: 'badRequest', message: 'not a line of JSON' } };
  }
  const result = bgpdRequestSchema.safeParse(document);
  if (result.success) return result.data;
  const message = fieldErrors(result.error)
    .map(({ field, message: text }) => `${field}: ${text}`)
    .join('; ');
  return { error: { type: 'error', code: 'badRequest', message, id: idOf(document) } };
}

/** Who asked waits for an answer by this, even if the rest is wrong. */
function idOf(document: unknown): string | number | undefined {
  const id = typeof document === 'object' && document !== null && 'id' in document ? document.id : undefined;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const finish = (isAlive: boolean): void => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}
