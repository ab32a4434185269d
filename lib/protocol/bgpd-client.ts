// Client of bgpd's control socket (lib/protocol/bgpd.ts): requests with their answers, events as they come. One
// connection; who needs it again after `closed` makes a new client, as the agent does (agents/node/bgpd-link.ts).

import { connect, type Socket } from 'node:net';
import { readLines } from '../process/read-lines.ts';
import {
  BGPD_MAX_LINE,
  type BgpdConfigurationInput,
  type BgpdErrorCode,
  type BgpdFieldError,
  type BgpdRequestInput,
  type BgpdResponse,
} from './bgpd.ts';
import type { BgpdDestination, BgpdReceivedPath, BgpdSentPath, BgpdWhy } from './bgpd-routes.ts';
import type { BgpdEvent, BgpdHistory, BgpdStatus } from './bgpd-status.ts';

export type BgpdClientErrorType =
  /** Nobody listens, or who does is no bgpd. */
  | { readonly code: 'unreachable'; readonly path: string }
  | { readonly code: 'timedOut'; readonly waitedFor: string; readonly timeoutMs: number }
  | { readonly code: 'closed' }
  /** It answered, and not with what was asked for. */
  | {
      readonly code: 'answered';
      readonly answer: string;
      readonly message: string;
      /** Of an `error`: which one. */
      readonly errorCode?: BgpdErrorCode;
    };

export class BgpdClientError extends Error {
  readonly type: BgpdClientErrorType;

  constructor(type: BgpdClientErrorType, cause?: unknown) {
    super(messageOf(type), { cause });
    this.name = 'BgpdClientError';
    this.type = type;
  }
}

function messageOf(type: BgpdClientErrorType): string {
  switch (type.code) {
    case 'unreachable':
      return `bgpd does not answer at ${type.path}: is it running?`;
    case 'timedOut':
      return `bgpd did not answer ${type.waitedFor} within ${type.timeoutMs / 1000} s`;
    case 'closed':
      return 'bgpd went away';
    case 'answered':
      return `bgpd: ${type.message}`;
  }
}

export type Hello = Extract<BgpdResponse, { type: 'hello' }>;
export interface BgpdRib {
  readonly destinations: readonly BgpdDestination[];
  /** How many there are in all. */
  readonly total: number;
}

export interface PageOptions {
  readonly prefix?: string;
  /** Items at most; 1,000 if left out. */
  readonly limit?: number;
}
export type ConfigureResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

interface Waiting {
  readonly resolve: (response: BgpdResponse) => void;
  readonly reject: (error: BgpdClientError) => void;
  readonly timer: NodeJS.Timeout;
}

export interface ConnectOptions {
  /** 5 s if left out. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const ANSWER_MS = 5000;
const DEFAULT_ITEMS = 1000;
/** Items of one answer that are asked for. */
const MAX_PAGE = 1000;
/** A large configuration takes its time. */
const CONFIGURE_MS = 60_000;

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

  private constructor(socket: Socket, hello: Hello) {
    this.#socket = socket;
    this.hello = hello;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#failAll();
        resolve();
      });
    });
  }

  /** Connects and waits for bgpd's greeting; rejects with `unreachable` or `timedOut`. The signal ends only this wait. */
  static connect(path: string, { timeoutMs = ANSWER_MS, signal }: ConnectOptions = {}): Promise<BgpdClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path });
      let client: BgpdClient | undefined;
      const fail = (type: BgpdClientErrorType, cause?: unknown): void => {
        settle();
        socket.destroy();
        reject(new BgpdClientError(type, cause));
      };
      const unreachable = (cause?: unknown): void => fail({ code: 'unreachable', path }, cause);
      const onClose = (): void => unreachable();
      const onAbort = (): void => unreachable(signal?.reason);
      const timer = setTimeout(() => fail({ code: 'timedOut', waitedFor: 'hello', timeoutMs }), timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        socket.off('close', onClose);
        signal?.removeEventListener('abort', onAbort);
      };
      socket.on('error', unreachable);
      socket.once('close', onClose);
      signal?.addEventListener('abort', onAbort);
      readLines(socket, BGPD_MAX_LINE, (line) => {
        const response = parseResponse(line);
        // Who sends something else is no bgpd, or has lost count.
        if (response === undefined) socket.destroy();
        else if (client !== undefined) client.#receive(response);
        else if (response.type !== 'hello') unreachable();
        else {
          settle();
          client = new BgpdClient(socket, response);
          resolve(client);
        }
      });
      if (signal?.aborted === true) onAbort();
    });
  }

  /** One request and its answer. Rejects with `closed` or `timedOut`; an `error` answer is an answer. */
  request(
    request: Exclude<BgpdRequestInput, { type: 'events' }>,
    timeoutMs = ANSWER_MS,
  ): Promise<BgpdResponse> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new BgpdClientError({ code: 'timedOut', waitedFor: request.type, timeoutMs }));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      if (this.#socket.destroyed) this.#failAll();
      else this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  /** Hands over a whole configuration; resolves when it is in force, or with what is wrong with it. */
  async configure(number: number, configuration: BgpdConfigurationInput): Promise<ConfigureResult> {
    const answer = await this.request({ type: 'configure', number, configuration }, CONFIGURE_MS);
    if (answer.type === 'acknowledged') return { ok: true };
    if (answer.type === 'refused') return { ok: false, errors: answer.errors };
    throw unexpected(answer);
  }

  async status(): Promise<BgpdStatus> {
    const answer = await this.request({ type: 'status' });
    if (answer.type !== 'status') throw unexpected(answer);
    return answer.status;
  }

  /** Destinations up to the limit, 1,000 if left out, or the one of `prefix`. Rejects with `answered` before the first configuration. */
  async rib(options: PageOptions = {}): Promise<BgpdRib> {
    let total = 0;
    const destinations = await pages(options, async (page) => {
      const answer = await this.request({ type: 'rib', ...page });
      if (answer.type !== 'rib') throw unexpected(answer);
      total = answer.total;
      return { items: answer.destinations, next: answer.next };
    });
    return { destinations, total };
  }

  /** What the peer has announced, before and after the import policy. */
  ribIn(peer: string, options: PageOptions = {}): Promise<readonly BgpdReceivedPath[]> {
    return pages(options, async (page) => {
      const answer = await this.request({ type: 'ribIn', peer, ...page });
      if (answer.type !== 'ribIn') throw unexpected(answer);
      return { items: answer.paths, next: answer.next };
    });
  }

  /** What the peer has been told. */
  ribOut(peer: string, options: PageOptions = {}): Promise<readonly BgpdSentPath[]> {
    return pages(options, async (page) => {
      const answer = await this.request({ type: 'ribOut', peer, ...page });
      if (answer.type !== 'ribOut') throw unexpected(answer);
      return { items: answer.paths, next: answer.next };
    });
  }

  /** The destination of the prefix or address explained, or the nearest that cover it. */
  async why(prefix: string): Promise<readonly BgpdWhy[]> {
    const answer = await this.request({ type: 'why', prefix });
    if (answer.type !== 'why') throw unexpected(answer);
    return answer.destinations;
  }

  /** Prometheus text. */
  async metrics(): Promise<string> {
    const answer = await this.request({ type: 'metrics' });
    if (answer.type !== 'metrics') throw unexpected(answer);
    return answer.text;
  }

  /** Ends the peer's session and begins it anew, or asks the peer for its routes again. */
  async actOnPeer(type: 'reset' | 'refresh', peer: string): Promise<void> {
    const answer = await this.request({ type, peer });
    if (answer.type !== 'acknowledged') throw unexpected(answer);
  }

  async history(peer: string, raw = false): Promise<BgpdHistory> {
    const answer = await this.request({ type: 'history', peer, raw });
    if (answer.type !== 'history') throw unexpected(answer);
    return answer.history;
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

  #receive(response: BgpdResponse): void {
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

interface PageRequest {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit: number;
}

/** Asks for parts until there are `limit` items or no more. */
async function pages<T>(
  { prefix, limit = DEFAULT_ITEMS }: PageOptions,
  ask: (page: PageRequest) => Promise<{ readonly items: readonly T[]; readonly next: string | undefined }>,
): Promise<readonly T[]> {
  const all: T[] = [];
  for (let after: string | undefined; ; ) {
    const page = { limit: Math.min(limit - all.length, MAX_PAGE) };
    const { items, next } = await ask({
      ...page,
      ...(prefix === undefined ? {} : { prefix }),
      ...(after === undefined ? {} : { after }),
    });
    for (const item of items) if (all.length < limit) all.push(item);
    if (next === undefined || all.length >= limit) return all;
    after = next;
  }
}

function parseResponse(line: string): BgpdResponse | undefined {
  try {
    return JSON.parse(line) as BgpdResponse;
  } catch {
    return undefined;
  }
}

function unexpected(answer: BgpdResponse): BgpdClientError {
  const { type } = answer;
  if (type !== 'error')
    return new BgpdClientError({ code: 'answered', answer: type, message: `unexpected answer ${type}` });
  const { message, code } = answer;
  return new BgpdClientError({ code: 'answered', answer: type, message, errorCode: code });
}
