// Events from other processes of a host (kubelet) into the agent's log: JSON lines over a unix socket that only root opens.
// The sender never waits: with the agent away a bounded number of events is kept, the rest is counted and said later.

import { chmod, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import type { Startable } from '../lifecycle/startable.ts';
import { readLines } from '../process/read-lines.ts';
import { EVENT_KINDS, type EventInput, type EventKind, type EventSink } from './event.ts';
import type { EventLog } from './event-log.ts';

const MAX_LINE_BYTES = 16 * 1024;
const MAX_KEPT = 1000;
/** Bytes that may wait in the socket for an agent that does not read; beyond that events are kept here. */
const MAX_UNSENT_BYTES = 256 * 1024;
const RECONNECT_MS = 500;

const kinds = Object.values(EVENT_KINDS).flat() as [EventKind, ...EventKind[]];
const eventLineSchema = z.object({
  time: z.iso.datetime(),
  component: z.enum(Object.keys(EVENT_KINDS) as ['controller', 'agent', 'bgpd', 'kubelet']),
  kind: z.enum(kinds),
  object: z.string().max(512).optional(),
  revision: z.number().optional(),
  generation: z.number().optional(),
  peer: z.string().max(64).optional(),
  count: z.number().optional(),
  durationMs: z.number().optional(),
  cause: z.string().max(1024).optional(),
});
/** What the sender could not keep while the agent was away. */
const lostLineSchema = z.object({ lost: z.number().int().positive(), from: z.string().max(64) });

export class EventSocketServer implements Startable {
  readonly #path: string;
  readonly #log: EventLog;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #refused = 0;

  constructor(path: string, log: EventLog) {
    this.#path = path;
    this.#log = log;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Lines that were no events. */
  get refused(): number {
    return this.#refused;
  }

  async start(): Promise<void> {
    await rm(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, resolve);
    });
    await chmod(this.#path, 0o600);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    readLines(socket, MAX_LINE_BYTES, (line) => this.#take(line));
  }

  #take(line: string): void {
    const json = parseJson(line);
    const parsed = eventLineSchema.safeParse(json);
    const gap = lostLineSchema.safeParse(json);
    if (parsed.success) this.#log.relay(withoutUndefined(parsed.data));
    else if (gap.success)
      this.#log.emit({
        component: 'agent',
        kind: 'eventsLost',
        count: gap.data.lost,
        cause: gap.data.from,
      });
    else this.#refused += 1;
  }
}

type EventLine = Parameters<EventLog['relay']>[0];

function withoutUndefined(data: z.infer<typeof eventLineSchema>): EventLine {
  return Object.fromEntries(
    Object.entries(data).filter(([, value]) => value !== undefined),
  ) as unknown as EventLine;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The sender's side: an EventSink of a process that is not the agent. */
export class EventSocketSender implements EventSink, Startable {
  readonly #path: string;
  readonly #name: string;
  readonly #kept: string[] = [];
  #dropped = 0;
  /** Of the dropped ones, how many the agent has been told of. */
  #saidDropped = 0;
  #socket: Socket | undefined;
  #isConnected = false;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** `name`: of this process, for the gap that it may have to report. */
  constructor(path: string, name = 'another process of this host') {
    this.#path = path;
    this.#name = name;
  }

  /** Events lost because the agent was away for too long. */
  get dropped(): number {
    return this.#dropped;
  }

  async start(): Promise<void> {
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#socket?.end();
  }

  emit(event: EventInput): void {
    this.#kept.push(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
    if (this.#kept.length > MAX_KEPT) {
      this.#kept.shift();
      this.#dropped += 1;
    }
    this.#flush();
  }

  #connect(): void {
    const socket = connect(this.#path);
    this.#socket = socket;
    socket.on('connect', () => {
      this.#isConnected = true;
      this.#flush();
    });
    socket.on('drain', () => this.#flush());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#isConnected = false;
      if (!this.#isStopped) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #flush(): void {
    const socket = this.#socket;
    if (!this.#isConnected || socket === undefined || socket.writableLength > MAX_UNSENT_BYTES) return;
    const lost = this.#dropped - this.#saidDropped;
    if (lost > 0) socket.write(`${JSON.stringify({ lost, from: this.#name })}\n`);
    this.#saidDropped = this.#dropped;
    for (const line of this.#kept.splice(0)) socket.write(line);
  }
}
