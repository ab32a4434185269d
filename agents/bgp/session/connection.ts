// One TCP connection with a peer: runs the state machine of fsm/fsm.ts, owns socket and timers, frames and decodes.
// Events go through one inbox, so that an action's consequences never interleave with its transition.

import type { Socket } from 'node:net';
import { isNativeError } from 'node:util/types';
import { type Action, type CloseCause, type Event, type FsmPeer, type State, step } from '../fsm/fsm.ts';
import { type LocalSession, localOpen, type NegotiatedSession } from '../fsm/negotiate.ts';
import { UNNEGOTIATED } from '../packet/context.ts';
import { DecodeError } from '../packet/errors.ts';
import { TYPE_OFFSET } from '../packet/header.ts';
import { MessageType } from '../packet/iana.ts';
import { decodeMessage, encodeMessage, type Message } from '../packet/message.ts';
import type { RouteRefreshMessage } from '../packet/route-refresh.ts';
import { MessageFramer } from './framing.ts';
import { MessageCounts } from './peer-counts.ts';
import { kernelQueue, limitSendTime } from './protect.ts';
import { SendQueue, sendHoldMs } from './send-queue.ts';
import { SessionTimers } from './session-timers.ts';

export interface ConnectionHandlers {
  readonly stateChanged: (connection: Connection) => void;
  /** The peer's OPEN was acceptable: the place for collision detection. */
  readonly opened: (connection: Connection, session: NegotiatedSession) => void;
  readonly up: (connection: Connection, session: NegotiatedSession) => void;
  readonly down: (connection: Connection, session: NegotiatedSession, cause: CloseCause) => void;
  /** A whole UPDATE, valid until the call returns. Throws DecodeError where the session has to be reset. */
  readonly update: (connection: Connection, octets: Uint8Array) => void;
  /** The connection takes nothing for now, or takes something again: what is for it should wait meanwhile. */
  readonly behind: (connection: Connection, isBehind: boolean) => void;
  readonly routeRefresh: (connection: Connection, message: RouteRefreshMessage) => void;
  readonly closed: (connection: Connection, cause: CloseCause) => void;
  /** A message that ends the session: from its header on, a view of the receive buffer. */
  readonly malformed: (connection: Connection, octets: Uint8Array, reason: string) => void;
}

/** What the RIB gets with an event: UPDATEs as they came, or a ROUTE-REFRESH. */
type Delivery = RouteRefreshMessage | { readonly updates: readonly Uint8Array[] };

export interface ConnectionOptions {
  readonly initiatedBy: 'local' | 'peer';
  /** Never connects by itself. */
  readonly passive: boolean;
  /** Asked each time: a connection may try for long, and configuration and restart go on meanwhile. */
  readonly connectRetrySeconds: () => number;
  /** What our OPEN is to say, asked when it is sent; the peer's is judged by the same. */
  readonly localSession: () => LocalSession;
  /** Starts connecting; may throw where a source address or a key cannot be set. */
  readonly dial: () => Socket;
  readonly handlers: ConnectionHandlers;
  /** 0 to 1, for jitter (RFC 4271 §10). */
  readonly random: () => number;
}

/** How long a socket lives after a NOTIFICATION for the peer to read it. */
const LINGER_MS = 1000;
/** Doubled with each attempt of a connection: nodes that start together find some of the others not listening yet, a moment before they do. */
const FIRST_RETRY_SECONDS = 0.25;
/** Octets of one peer handled in one turn of the event loop. */
const MAX_TURN = 256 * 1024;

export class Connection {
  readonly initiatedBy: 'local' | 'peer';
  readonly counters = new MessageCounts();
  readonly #options: ConnectionOptions;
  readonly #timers: SessionTimers;
  readonly #inbox: { readonly event: Event; readonly message: Delivery | undefined }[] = [];
  #framer = new MessageFramer();
  #state: State = { name: 'Idle' };
  #local: LocalSession;
  #socket: Socket | undefined;
  #isStepping = false;
  #notified = false;
  #turnOctets = 0;
  #attempts = 0;
  #lastReceived = 0;
  #message: Uint8Array = new Uint8Array();
  #sendQueue = new SendQueue(performance.now());

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#local = options.localSession();
    this.initiatedBy = options.initiatedBy;
    this.#timers = new SessionTimers({
      onExpiry: (timer) => this.dispatch({ type: 'TimerExpires', timer }),
      isInputWaiting: () => this.#socket?.isPaused() === true,
      random: options.random,
    });
  }

  get state(): State {
    return this.#state;
  }

  get localAddress(): string | undefined {
    return this.#socket?.localAddress;
  }

  /** The message at hand, or the last one: a view of the receive buffer. */
  get message(): Uint8Array {
    return this.#message;
  }

  /** Milliseconds since a message came from the peer. */
  get silentMs(): number {
    return performance.now() - this.#lastReceived;
  }

  /** How late the hold timer was when it fired last, in milliseconds: our own loop was behind by that much. */
  get lateMs(): number {
    return this.#timers.lateMs;
  }

  /** Octets on their way: here, and in the kernel where it tells. */
  get queue(): { readonly unsent: number; readonly kernel?: number | undefined } {
    const socket = this.#socket;
    return socket === undefined
      ? { unsent: 0 }
      : { unsent: socket.writableLength, kernel: kernelQueue(socket) };
  }

  /** Takes an accepted connection: the machine starts as a passive one. */
  accept(socket: Socket): void {
    this.dispatch({ type: 'ManualStart' });
    this.#adopt(socket);
    this.dispatch({ type: 'TcpConnectionConfirmed' });
  }

  dispatch(event: Event, message?: Delivery): void {
    this.#inbox.push({ event, message });
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        this.#step(next.event, next.message);
      }
    } finally {
      this.#isStepping = false;
    }
  }

  /** Sends `count` whole messages, of them `updates` UPDATEs; silently nothing if the session is gone. */
  send(buffers: readonly Uint8Array[], count: number, updates: number): void {
    const socket = this.#socket;
    const last = buffers.at(-1);
    if (socket === undefined || last === undefined) return;
    const queue = this.#sendQueue;
    queue.add(buffers);
    const { mark } = queue;
    socket.cork();
    for (const buffer of buffers.slice(0, -1)) socket.write(buffer);
    socket.write(last, (error) => {
      if (!(error instanceof Error)) this.#taken(socket, mark);
    });
    socket.uncork();
    this.counters.sent += count;
    this.counters.updatesSent += updates;
    if (socket.writableLength === 0) this.#taken(socket, mark);
    const verdict = queue.verdict();
    if (verdict === 'becomesBehind') this.#options.handlers.behind(this, true);
    else if (verdict === 'tooMuch') this.dispatch({ type: 'SendHoldTimerExpires' });
  }

  /** The kernel has all up to the mark. */
  #taken(socket: Socket, mark: number): void {
    if (socket === this.#socket && this.#sendQueue.taken(mark)) this.#options.handlers.behind(this, false);
  }

  #step(event: Event, message: Delivery | undefined): void {
    const before = this.#state.name;
    const { next, actions } = step(this.#state, event, this.#fsmPeer());
    this.#state = next;
    for (const action of actions) this.#perform(action, message);
    if (before !== next.name) this.#options.handlers.stateChanged(this);
  }

  #fsmPeer(): FsmPeer {
    const { passive, connectRetrySeconds } = this.#options;
    const seconds = connectRetrySeconds();
    const soonSeconds = FIRST_RETRY_SECONDS * 2 ** Math.max(0, this.#attempts - 1);
    return {
      local: this.#local,
      passive,
      connectRetrySeconds: seconds,
      retryAfterFailureSeconds: Math.min(seconds, soonSeconds),
    };
  }

  #perform(action: Action, message: Delivery | undefined): void {
    const { handlers } = this.#options;
    switch (action.do) {
      case 'connect':
        this.#connect();
        return;
      case 'sendOpen':
        this.#local = this.#options.localSession();
        this.#sendMessage(localOpen(this.#local));
        return;
      case 'sendKeepalive':
        this.#checkSendHold();
        this.#sendMessage({ type: 'keepalive' });
        return;
      case 'sendNotification':
        this.#sendMessage({ type: 'notification', ...action.notification });
        this.#notified = true;
        return;
      case 'drop':
        this.#drop();
        return;
      case 'startTimer':
        this.#timers.start(action.timer, action.seconds);
        return;
      case 'stopTimer':
        this.#timers.stop(action.timer);
        return;
      case 'opened':
        handlers.opened(this, action.session);
        return;
      case 'announceUp':
        this.#limitSendTime(action.session);
        handlers.up(this, action.session);
        return;
      case 'announceDown':
        handlers.down(this, action.session, action.cause);
        return;
      case 'closed':
        handlers.closed(this, action.cause);
        return;
      case 'deliver':
        this.#deliver(message);
        return;
    }
  }

  #deliver(message: Delivery | undefined): void {
    if (message === undefined) return;
    if ('updates' in message) this.#deliverUpdates(message.updates);
    else this.#options.handlers.routeRefresh(this, message);
  }

  #deliverUpdates(updates: readonly Uint8Array[]): void {
    for (const octets of updates) {
      this.#message = octets;
      this.counters.updatesReceived++;
      try {
        this.#options.handlers.update(this, octets);
      } catch (error) {
        this.#malformed(error);
      }
      // Whatever has come up meanwhile ends the session.
      if (this.#inbox.length > 0) return;
    }
  }

  #malformed(error: unknown): void {
    if (!(error instanceof DecodeError)) throw error;
    const octets = this.#framer.rejected ?? this.#message;
    this.#options.handlers.malformed(this, octets, error.type.reason);
    this.dispatch({ type: 'BgpMsgErr', error });
  }

  #connect(): void {
    this.#attempts++;
    try {
      const socket = this.#options.dial();
      this.#adopt(socket);
      socket.once('connect', () => {
        if (socket === this.#socket) this.dispatch({ type: 'TcpConnectionConfirmed' });
      });
    } catch (error) {
      const reason = isNativeError(error) ? error.message : String(error);
      this.dispatch({ type: 'TcpConnectionFails', reason, code: errorCode(error) });
    }
  }

  #adopt(socket: Socket): void {
    this.#socket = socket;
    this.#framer = new MessageFramer();
    this.#notified = false;
    const now = performance.now();
    this.#sendQueue = new SendQueue(now);
    this.#lastReceived = now;
    let failure: { readonly reason: string; readonly code?: string | undefined } = {
      reason: 'closed by the peer',
    };
    socket.on('error', (error) => {
      failure = { reason: error.message, code: errorCode(error) };
    });
    socket.on('data', (chunk: Buffer) => this.#receive(socket, chunk));
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      this.dispatch({ type: 'TcpConnectionFails', ...failure });
    });
  }

  #receive(socket: Socket, chunk: Uint8Array): void {
    if (socket !== this.#socket) return; // after a NOTIFICATION: read and thrown away
    this.#limitTurn(socket, chunk.length);
    const before = this.counters.received;
    let updates: Uint8Array[] = [];
    // UPDATEs in a row are one event: each would only restart the hold timer.
    const deliver = (): void => {
      if (updates.length > 0) this.dispatch({ type: 'UpdateMsg' }, { updates });
      updates = [];
    };
    try {
      for (const octets of this.#framer.push(chunk, () => socket === this.#socket)) {
        this.#message = octets;
        this.counters.received++;
        if (octets[TYPE_OFFSET] === MessageType.update && this.#state.name === 'Established') {
          updates.push(octets);
          continue;
        }
        deliver();
        if (socket === this.#socket) this.#receiveMessage(octets);
      }
      if (this.counters.received > before) this.#lastReceived = performance.now();
      deliver();
    } catch (error) {
      deliver();
      if (socket === this.#socket) this.#malformed(error);
    }
  }

  #receiveMessage(octets: Uint8Array): void {
    // Out of place, whatever is in it: those of a session are not for here.
    if (octets[TYPE_OFFSET] === MessageType.update) {
      this.dispatch({ type: 'UpdateMsg' });
      return;
    }
    const context = 'session' in this.#state ? this.#state.session.context : UNNEGOTIATED;
    const message = decodeMessage(octets, context);
    if (message.type !== 'update') this.counters.controlReceived[message.type]++;
    switch (message.type) {
      case 'open':
        this.dispatch({ type: 'BgpOpen', open: message });
        return;
      case 'update':
        return;
      case 'notification':
        this.dispatch({ type: 'NotifMsg', notification: message });
        return;
      case 'keepalive':
        this.dispatch({ type: 'KeepAliveMsg' });
        return;
      case 'routeRefresh':
        this.dispatch({ type: 'RouteRefreshMsg' }, message);
        return;
    }
  }

  /** One peer must not keep the others waiting: its window closes until the next turn. */
  #limitTurn(socket: Socket, octets: number): void {
    if (this.#turnOctets === 0) setImmediate(() => this.#endTurn(socket));
    this.#turnOctets += octets;
    if (this.#turnOctets > MAX_TURN) socket.pause();
  }

  #endTurn(socket: Socket): void {
    this.#turnOctets = 0;
    if (socket.isPaused() && !socket.destroyed) socket.resume();
  }

  #sendMessage(message: Message): void {
    if (message.type !== 'update') this.counters.controlSent[message.type]++;
    this.send([encodeMessage(message, UNNEGOTIATED)], 1, 0);
  }

  #drop(): void {
    this.#timers.stopAll();
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    if (!this.#notified) {
      socket.destroy();
      return;
    }
    // Closing with unread data would send a RST and the peer would never see the reason.
    socket.end();
    socket.resume();
    const linger = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(linger));
  }

  /** The kernel gives up a connection whose data nobody takes; where it cannot be told, `#checkSendHold` has to do. */
  #limitSendTime({ holdTimeSeconds }: NegotiatedSession): void {
    if (this.#socket !== undefined && holdTimeSeconds > 0)
      limitSendTime(this.#socket, sendHoldMs(holdTimeSeconds));
  }

  /** RFC 9687: looks at each KEEPALIVE whether the kernel has taken any octet since the last one. */
  #checkSendHold(): void {
    const socket = this.#socket;
    if (socket === undefined || !('session' in this.#state)) return;
    const unsent = socket.writableLength;
    const taken = socket.bytesWritten - unsent;
    const limitMs = sendHoldMs(this.#state.session.holdTimeSeconds);
    if (this.#sendQueue.isStuck({ taken, unsent }, limitMs, performance.now()))
      this.dispatch({ type: 'SendHoldTimerExpires' });
  }
}

/** As the system names it: `ECONNREFUSED`. */
function errorCode(error: unknown): string | undefined {
  const code = isNativeError(error) && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
