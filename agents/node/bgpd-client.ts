// The agent's end of bgpd's control socket (lib/protocol/bgpd.ts): hands over the whole configuration whenever it changes or
// bgpd comes back, asks for status and routes, and takes bgpd's events into the host's log.

import { connect, type Socket } from 'node:net';
import type { EventKind } from '../../lib/events/event.ts';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import {
  BGPD_MAX_LINE,
  type BgpdConfigurationInput,
  type BgpdRequestInput,
  type BgpdResponse,
  type BgpdStatus,
} from '../../lib/protocol/bgpd.ts';

const RECONNECT_MS = 250;
const ANSWER_MS = 5000;
const RETRY_MS = 1000;

export type BgpdFailure = 'away' | 'timeout' | 'refused';
class BgpdError extends Error {
  readonly type: { readonly code: BgpdFailure };

  constructor(code: BgpdFailure, message: string) {
    super(message);
    this.name = 'BgpdError';
    this.type = { code };
  }
}

interface Waiting {
  readonly resolve: (response: BgpdResponse) => void;
  readonly reject: (error: BgpdError) => void;
  readonly timer: NodeJS.Timeout;
}

export class BgpdClient implements Startable {
  readonly #path: string;
  readonly #events: EventLog;
  readonly #logger: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #socket: Socket | undefined;
  #isConnected = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #nextId = 1;
  #number = 0;
  #wanted: BgpdConfigurationInput | undefined;
  #lastEventSeq = 0;
  #bgpdStart = '';
  #configurationErrors: readonly string[] = [];

  constructor(path: string, events: EventLog, logger: Logger) {
    this.#path = path;
    this.#events = events;
    this.#logger = logger;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }
  /** What bgpd refused of the last configuration; empty if nothing. */
  get configurationErrors(): readonly string[] {
    return this.#configurationErrors;
  }

  async start(): Promise<void> {
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#failAll('the agent stops');
  }

  /** Kept, and handed over now and whenever bgpd comes back. */
  configure(configuration: BgpdConfigurationInput): void {
    this.#wanted = configuration;
    this.#number += 1;
    if (this.#isConnected) void this.#sendConfiguration();
  }

  async status(): Promise<BgpdStatus> {
    const response = await this.ask({ type: 'status' });
    if (response.type !== 'status') throw new BgpdError('refused', `bgpd answered ${response.type}`);
    return response.status;
  }

  /** One request and its answer. Throws BgpdError. */
  ask(request: BgpdRequestInput): Promise<BgpdResponse> {
    const socket = this.#socket;
    if (!this.#isConnected || socket === undefined)
      return Promise.reject(new BgpdError('away', `bgpd does not answer at ${this.#path}: is it running?`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new BgpdError('timeout', `bgpd did not answer ${request.type} within ${ANSWER_MS / 1000} s`));
      }, ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  #connect(): void {
    const socket = connect(this.#path);
    this.#socket = socket;
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      this.#isConnected = true;
      void this.#greet(socket);
    });
    socket.on('data', (chunk: string) => {
      const lines = (pending + chunk).split('\n');
      pending = lines.pop() ?? '';
      if (pending.length > BGPD_MAX_LINE) socket.destroy();
      for (const line of lines) if (line !== '') this.#onLine(line);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(this.#retry);
      if (this.#isConnected) this.#logger.warn('bgpd went away');
      this.#isConnected = false;
      this.#failAll('bgpd went away');
      if (!this.#isStopped) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #failAll(why: string): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new BgpdError('away', why));
    }
    this.#waiting.clear();
  }

  #onLine(line: string): void {
    let response: BgpdResponse;
    try {
      response = JSON.parse(line) as BgpdResponse;
    } catch {
      this.#logger.error('bgpd sent a line that is not JSON');
      return;
    }
    if (response.type === 'event') {
      this.#onEvent(response.event);
      return;
    }
    if (response.type === 'eventsLost') {
      const { count } = response;
      this.#events.emit({ component: 'agent', kind: 'eventsLost', count, cause: 'bgpd' });
    }
    const waiting = typeof response.id === 'number' ? this.#waiting.get(response.id) : undefined;
    if (waiting === undefined || typeof response.id !== 'number') return;
    this.#waiting.delete(response.id);
    clearTimeout(waiting.timer);
    waiting.resolve(response);
  }

  #onEvent({ host: _host, seq, ...event }: Extract<BgpdResponse, { type: 'event' }>['event']): void {
    this.#lastEventSeq = seq;
    this.#events.relay({ ...event, kind: event.kind as EventKind });
  }

  /** Asks who is there before it asks for events: a bgpd that started anew counts them from 1 again. */
  async #greet(socket: Socket): Promise<void> {
    try {
      const { startedAt } = await this.status();
      if (startedAt !== this.#bgpdStart) this.#lastEventSeq = 0;
      this.#bgpdStart = startedAt;
    } catch (error) {
      // It is connected and does not say what it is: the next connection may do better.
      this.#logger.warn('bgpd does not say its status', { error });
      socket.destroy();
      return;
    }
    socket.write(`${JSON.stringify({ type: 'events', id: 0, afterSeq: this.#lastEventSeq })}\n`);
    await this.#sendConfiguration();
  }

  async #sendConfiguration(): Promise<void> {
    const configuration = this.#wanted;
    if (configuration === undefined) return;
    const number = this.#number;
    clearTimeout(this.#retry);
    try {
      const response = await this.ask({ type: 'configure', number, configuration });
      this.#configurationErrors =
        response.type === 'refused'
          ? response.errors.map(({ field, message }) => `${field}: ${message}`)
          : [];
      if (response.type === 'refused')
        this.#logger.error('bgpd refused the configuration', { errors: response.errors });
      else
        this.#events.emit({
          component: 'agent',
          kind: 'bgpConfigured',
          count: configuration.peers?.length ?? 0,
        });
    } catch (error) {
      this.#logger.warn('handing over the BGP configuration failed, trying again', { error });
      // Without a connection the next one hands it over.
      if (this.#isConnected && !this.#isStopped)
        this.#retry = setTimeout(() => void this.#sendConfiguration(), RETRY_MS);
    }
  }
}
