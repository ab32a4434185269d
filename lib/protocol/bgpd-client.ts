// Client of bgpd's control socket (lib/protocol/bgpd.ts): requests with their answers, events as they come. One
// connection; who needs it again after 'closed' makes a new client.

import { connect, type Socket } from 'node:net';
import {
  BGPD_MAX_LINE,
  type BgpdConfigurationInput,
  type BgpdDestination,
  type BgpdEvent,
  type BgpdFieldError,
  type BgpdRequestInput,
  type BgpdResponse,
  type BgpdStatus,
} from './bgpd.ts';

export type BgpdClientErrorType =
  | { readonly code: 'unreachable' | 'closed' | 'timedOut' }
  | { readonly code: 'answered'; readonly answer: string; readonly message: string };

export class BgpdClientError extends Error {
  readonly type: BgpdClientErrorType;

  constructor(type: BgpdClientErrorType, cause?: unknown) {
    super(`bgpd: ${type.code === 'answered' ? type.message : type.code}`, { cause });
    this.name = 'BgpdClientError';
    this.type = type;
  }
}

export type Hello = Extract<BgpdResponse, { type: 'hello' }>;
export type ConfigureResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

interface Waiting {
  readonly resolve: (response: BgpdResponse) => void;
  readonly reject: (error: BgpdClientError) => void;
  readonly timer: NodeJS.Timeout;
}

const TIMEOUT_MS = 10_000;

export class BgpdClient {
  /** What bgpd said of itself when the connection was made. */
  readonly hello: Hello;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #onEvent: ((event: BgpdEvent) => void) | undefined;
  #onLost: ((count: number) => void) | undefined;

  private constructor(socket: Socket, hello: Hello, lines: LineReader) {
    this.#socket = socket;
    this.hello = hello;
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        this.#failAll();
        resolve();
      };
      if (socket.destroyed) end();
      else socket.once('close', end);
    });
    lines.onLine = (line) => this.#receive(line);
  }

  /** Connects and waits for bgpd's greeting; rejects with `unreachable` or `timedOut`. */
  static connect(path: string, timeoutMs = TIMEOUT_MS): Promise<BgpdClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path });
      const lines = new LineReader(socket);
      const fail = (code: 'unreachable' | 'timedOut', cause?: unknown): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(new BgpdClientError({ code }, cause));
      };
      const timer = setTimeout(() => fail('timedOut'), timeoutMs);
      socket.on('error', (error) => fail('unreachable', error));
      socket.once('close', () => fail('unreachable'));
      lines.onLine = (line) => {
        clearTimeout(timer);
        const response = JSON.parse(line) as BgpdResponse;
        if (response.type !== 'hello') return fail('unreachable');
        resolve(new BgpdClient(socket, response, lines));
      };
    });
  }

  /** One request and its answer. Rejects with `closed` or `timedOut`; an `error` answer is an answer. */
  request(
    request: Exclude<BgpdRequestInput, { type: 'events' }>,
    timeoutMs = TIMEOUT_MS,
  ): Promise<BgpdResponse> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new BgpdClientError({ code: 'timedOut' }));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      if (this.#socket.destroyed) this.#failAll();
      else this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  /** Hands over a whole configuration; resolves when it is in force, or with what is wrong with it. */
  async configure(number: number, configuration: BgpdConfigurationInput): Promise<ConfigureResult> {
    const answer = await this.request({ type: 'configure', number, configuration }, 60_000);
    if (answer.type === 'acknowledged') return { ok: true };
    if (answer.type === 'refused') return { ok: false, errors: answer.errors };
    throw unexpected(answer);
  }

  async status(): Promise<BgpdStatus> {
    const answer = await this.request({ type: 'status' });
    if (answer.type !== 'status') throw unexpected(answer);
    return answer.status;
  }

  /** All destinations up to the limit, or the one of `prefix`. Rejects with `answered` before the first configuration. */
  async rib(
    options: { readonly prefix?: string; readonly limit?: number } = {},
  ): Promise<readonly BgpdDestination[]> {
    const answer = await this.request({ type: 'rib', ...options });
    if (answer.type !== 'rib') throw unexpected(answer);
    return answer.destinations;
  }

  /** Ends the peer's session and begins it anew, or asks the peer for its routes again. */
  async actOnPeer(type: 'reset' | 'refresh', peer: string): Promise<void> {
    const answer = await this.request({ type, peer });
    if (answer.type !== 'acknowledged') throw unexpected(answer);
  }

  /** Asks the process to end: for good, or for a graceful restart. */
  async end(type: 'shutdown' | 'restart'): Promise<void> {
    const answer = await this.request({ type });
    if (answer.type !== 'acknowledged') throw unexpected(answer);
  }

  /** The events after `afterSeq`, then each one as it happens; `onLost` tells how many could not be had. */
  follow(afterSeq: number, onEvent: (event: BgpdEvent) => void, onLost?: (count: number) => void): void {
    this.#onEvent = onEvent;
    this.#onLost = onLost;
    this.#socket.write(`${JSON.stringify({ type: 'events', afterSeq })}\n`);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(line: string): void {
    const response = JSON.parse(line) as BgpdResponse;
    if (response.type === 'event') {
      this.#onEvent?.(response.event);
      return;
    }
    if (response.type === 'eventsLost') {
      this.#onLost?.(response.count);
      return;
    }
    const waiting = typeof response.id === 'number' ? this.#waiting.get(response.id) : undefined;
    if (waiting === undefined || typeof response.id !== 'number') return;
    this.#waiting.delete(response.id);
    clearTimeout(waiting.timer);
    waiting.resolve(response);
  }

  #failAll(): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new BgpdClientError({ code: 'closed' }));
    }
    this.#waiting.clear();
  }
}

/** Cuts the stream into lines; a line beyond the limit ends the connection. */
class LineReader {
  onLine: (line: string) => void = () => undefined;
  #text = '';

  constructor(socket: Socket) {
    socket.setEncoding('utf8').on('data', (data: string) => {
      this.#text += data;
      for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        this.onLine(line);
      }
      if (this.#text.length > BGPD_MAX_LINE) socket.destroy();
    });
  }
}

function unexpected(answer: BgpdResponse): BgpdClientError {
  const message = answer.type === 'error' ? answer.message : `unexpected answer ${answer.type}`;
  return new BgpdClientError({ code: 'answered', answer: answer.type, message });
}
