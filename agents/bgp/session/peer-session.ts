// A configured peer: its connections (one of ours, one of the peer's), collision between them, reconnect delays, and
// what status shows of it (RFC 4271 §6.8, §8.1.1 DampPeerOscillations).

import type { Socket } from 'node:net';
import type { PeerConfig } from '../config.ts';
import {
  type Candidate,
  type CollisionSides,
  isShakingHands,
  mayStillWin,
  resolveCollision,
} from '../fsm/collision.ts';
import type { CloseCause, Event, StateName } from '../fsm/fsm.ts';
import type { LocalSession, NegotiatedSession } from '../fsm/negotiate.ts';
import { type Notification, notification } from '../packet/errors.ts';
import { ErrorCode, FAMILIES } from '../packet/iana.ts';
import { encodeMessage } from '../packet/message.ts';
import type { RouteRefreshMessage } from '../packet/route-refresh.ts';
import type { RouteChanges } from '../packet/validate.ts';
import type { SessionEnd } from '../rib/rib.ts';
import { describeCause, isError, isGraceful } from './close-cause.ts';
import { Connection, type ConnectionHandlers } from './connection.ts';
import { dial } from './dial.ts';

/** What the speaker does with a session's life. */
export interface PeerHandlers {
  readonly up: (peer: PeerSession, session: NegotiatedSession, localAddress: string) => void;
  readonly down: (peer: PeerSession, session: NegotiatedSession, end: SessionEnd, reason: string) => void;
  readonly update: (peer: PeerSession, changes: RouteChanges) => void;
  readonly routeRefresh: (peer: PeerSession, message: RouteRefreshMessage) => void;
  readonly stateChanged: (peer: PeerSession, state: StateName) => void;
}

/** How a peer is stopped. */
export interface PeerStop {
  /** Left out: the connection just closes, which the peer takes for a restart of ours, if it can. */
  readonly cease?: Notification;
  /** The peer is to drop our routes even if both speak RFC 8538. */
  readonly hard?: boolean;
  /** The peer comes back under a changed configuration: its routes stay meanwhile, if it can restart gracefully. */
  readonly keepRoutes?: boolean;
}

export interface SpeakerIdentity {
  readonly routerId: number;
  /** R bit: we are coming back from a restart. */
  readonly isRestarting: () => boolean;
  /**
   * F bit: what we had learned is still in the kernel. Not so after a fresh start: a peer that still holds routes of an
   * earlier life of ours must drop them.
   */
  readonly hasKeptForwarding: (hadSession: boolean) => boolean;
}

const ORDER: readonly StateName[] = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established'];
const MIN_BACKOFF_SECONDS = 1;
const MAX_BACKOFF_SECONDS = 60;
/** A session that lived this long has earned a fresh start. */
const STABLE_MS = 30_000;

export class PeerSession {
  #config: PeerConfig;
  readonly #identity: SpeakerIdentity;
  readonly #handlers: PeerHandlers;
  readonly #random: () => number;
  /** Ours and the peer's, until one of them is Established. */
  #outgoing: Connection | undefined;
  #incoming: Connection | undefined;
  #established:
    | { readonly connection: Connection; readonly session: NegotiatedSession; readonly at: number }
    | undefined;
  #restart: NodeJS.Timeout | undefined;
  #backoffSeconds = MIN_BACKOFF_SECONDS;
  #isRunning = false;
  /** Down for what the peer did, until a time is over. */
  #isHeldDown = false;
  #hadSession: boolean;
  #keepsRoutes = false;
  #shown: StateName = 'Idle';
  #since = new Date();
  #lastError: { readonly time: Date; readonly reason: string } | undefined;
  #flaps = 0;
  /** Messages of connections that are gone. */
  readonly #past = { received: 0, sent: 0, updatesReceived: 0, updatesSent: 0 };

  /** `hadSession`: under an earlier configuration of this process there was a session with the same speaker. */
  constructor(
    config: PeerConfig,
    identity: SpeakerIdentity,
    handlers: PeerHandlers,
    random: () => number,
    hadSession: boolean,
  ) {
    this.#config = config;
    this.#hadSession = hadSession;
    this.#identity = identity;
    this.#handlers = handlers;
    this.#random = random;
  }

  get name(): string {
    return this.#config.name;
  }

  get config(): PeerConfig {
    return this.#config;
  }

  get hadSession(): boolean {
    return this.#hadSession;
  }

  get session(): NegotiatedSession | undefined {
    return this.#established?.session;
  }

  get localAddress(): string | undefined {
    return this.#established?.connection.localAddress;
  }

  get status(): {
    readonly state: StateName;
    readonly since: Date;
    readonly flaps: number;
    readonly lastError: { readonly time: Date; readonly reason: string } | undefined;
    readonly messages: Readonly<Connection['counters']>;
  } {
    const messages = { ...this.#past };
    for (const connection of this.#connections()) addCounters(messages, connection.counters);
    return {
      state: this.#shown,
      since: this.#since,
      flaps: this.#flaps,
      lastError: this.#lastError,
      messages,
    };
  }

  start(): void {
    this.#isRunning = true;
    this.#isHeldDown = false;
    this.#beginConnecting();
  }

  /** Ends every connection. */
  stop({ cease, hard, keepRoutes }: PeerStop): void {
    const stop = {
      type: 'ManualStop',
      hard: hard === true,
      ...(cease === undefined ? {} : { cease }),
    } as const;
    this.#end(stop, keepRoutes === true);
  }

  /** A new session, asked for by the operator or by a change that needs one; no delay. */
  reset(subcode: number): void {
    this.stop({ cease: cease(subcode), keepRoutes: true });
    this.#backoffSeconds = MIN_BACKOFF_SECONDS;
    this.start();
  }

  /** Ends the session for what would happen again at once: for so long the peer is neither called nor listened to. */
  holdDown(cease: Notification, reason: string, seconds: number): void {
    this.#end({ type: 'AutomaticStop', cease, reason }, false);
    this.#isHeldDown = true;
    this.#restart = setTimeout(() => this.start(), 1000 * seconds);
  }

  /** Takes a changed configuration; the session goes on, timers count from the next OPEN. */
  reconfigure(config: PeerConfig): void {
    const becameActive = this.#config.passive && !config.passive;
    const mayAnnounceMore = config.rib.maxPrefixes > this.#config.rib.maxPrefixes;
    this.#config = config;
    if (this.#isHeldDown && mayAnnounceMore) this.start();
    if (becameActive && this.#isRunning && this.#established === undefined) this.#beginConnecting();
  }

  /** An accepted connection from the peer's address; false if it is not wanted now. */
  accept(socket: Socket): boolean {
    if (!this.#isRunning || this.#incoming?.state.name === 'OpenConfirm') return false;
    // Without graceful restart a second connection cannot replace the session (RFC 4271 §6.8).
    if (this.#established !== undefined && !this.#restartsGracefully()) return false;
    // A peer that connects again has given the first one up.
    this.#incoming?.dispatch({ type: 'OpenCollisionDump' });
    this.#incoming = this.#connection('peer', true);
    this.#incoming.accept(socket);
    return true;
  }

  send(messages: readonly Uint8Array[]): void {
    this.#established?.connection.send(messages, true);
  }

  /** Asks for the peer's routes again (RFC 2918); false if the peer does not know how. */
  requestRefresh(): boolean {
    if (this.#established?.session.routeRefresh !== true) return false;
    const { connection, session } = this.#established;
    const messages = [...session.context.families].map((family) => {
      const { afi, safi } = FAMILIES[family];
      return encodeMessage({ type: 'routeRefresh', afi, subtype: 0, safi }, session.context);
    });
    connection.send(messages, false);
    return true;
  }

  /** A malformed UPDATE that did not cost the session. */
  noteError(reason: string): void {
    this.#lastError = { time: new Date(), reason };
  }

  #end(event: Event, keepsRoutes: boolean): void {
    this.#isRunning = false;
    this.#isHeldDown = false;
    this.#keepsRoutes = keepsRoutes;
    clearTimeout(this.#restart);
    for (const connection of this.#connections()) connection.dispatch(event);
  }

  #beginConnecting(): void {
    clearTimeout(this.#restart);
    if (this.#config.passive || this.#outgoing !== undefined) {
      this.#show();
      return;
    }
    this.#outgoing = this.#connection('local', false);
    this.#outgoing.dispatch({ type: 'ManualStart' });
  }

  #connection(initiatedBy: 'local' | 'peer', passive: boolean): Connection {
    return new Connection({
      initiatedBy,
      passive,
      connectRetrySeconds: () => this.#config.connectRetrySeconds,
      localSession: () => this.#localSession(),
      dial: () => dial(this.#config),
      handlers: this.#connectionHandlers(),
      random: this.#random,
    });
  }

  #localSession(): LocalSession {
    const { localAsn, asn, holdTimeSeconds, families, gracefulRestartSeconds } = this.#config;
    const gracefulRestart = {
      restartTimeSeconds: gracefulRestartSeconds,
      restarted: this.#identity.isRestarting(),
      forwardingKept: this.#identity.hasKeptForwarding(this.#hadSession),
    };
    return {
      asn: localAsn,
      bgpIdentifier: this.#identity.routerId,
      peerAsn: asn,
      holdTimeSeconds,
      families,
      ...(gracefulRestartSeconds === 0 ? {} : { gracefulRestart }),
    };
  }

  #connectionHandlers(): ConnectionHandlers {
    return {
      stateChanged: () => this.#show(),
      opened: (connection, session) => this.#resolveCollision(connection, session),
      up: (connection, session) => this.#up(connection, session),
      down: (connection, session, cause) => this.#down(connection, session, cause),
      update: (_connection, changes) => this.#handlers.update(this, changes),
      routeRefresh: (_connection, message) => this.#handlers.routeRefresh(this, message),
      closed: (connection, cause) => this.#closed(connection, cause),
    };
  }

  #resolveCollision(opened: Connection, session: NegotiatedSession): void {
    for (const other of this.#connections()) {
      if (other !== opened && opened.state.name !== 'Idle') this.#resolveBetween(opened, other, session);
    }
  }

  #resolveBetween(opened: Connection, other: Connection, session: NegotiatedSession): void {
    const verdict = resolveCollision(candidate(opened), candidate(other), this.#sides(session));
    if (verdict === 'dropOpened') opened.dispatch({ type: 'OpenCollisionDump' });
    if (verdict === 'dropOther') other.dispatch({ type: 'OpenCollisionDump' });
    if (verdict === 'replaceEstablished') {
      other.dispatch({ type: 'TcpConnectionFails', reason: 'the peer has restarted and connected anew' });
    }
  }

  #sides(session: NegotiatedSession): CollisionSides {
    return {
      localIdentifier: this.#identity.routerId,
      peerIdentifier: session.peerIdentifier,
      localAsn: this.#config.localAsn,
      peerAsn: session.peerAsn,
      peerRestartsGracefully: this.#restartsGracefully(),
    };
  }

  #up(connection: Connection, session: NegotiatedSession): void {
    this.#established = { connection, session, at: performance.now() };
    this.#hadSession = true;
    clearTimeout(this.#restart);
    if (connection === this.#outgoing) this.#outgoing = undefined;
    if (connection === this.#incoming) this.#incoming = undefined;
    for (const other of this.#connections()) {
      const isRival = other !== connection && !mayStillWin(candidate(other), this.#sides(session));
      if (isRival) other.dispatch({ type: 'OpenCollisionDump' });
    }
    this.#handlers.up(this, session, connection.localAddress ?? '');
  }

  #down(connection: Connection, session: NegotiatedSession, cause: CloseCause): void {
    if (this.#established?.connection !== connection) return;
    if (performance.now() - this.#established.at > STABLE_MS) this.#backoffSeconds = MIN_BACKOFF_SECONDS;
    this.#established = undefined;
    this.#flaps++;
    const graceful = (this.#isRunning || this.#keepsRoutes) && isGraceful(cause, session);
    // After a restart both ends call: the first session may give way to the other connection at once.
    const sameRestart = this.#connections().some(({ state }) => isShakingHands(state.name));
    this.#handlers.down(this, session, { graceful, sameRestart }, describeCause(cause));
  }

  #closed(connection: Connection, cause: CloseCause): void {
    if (cause.kind !== 'stopped' && cause.kind !== 'collision') {
      this.#lastError = { time: new Date(), reason: describeCause(cause) };
    }
    const isOver = connection.state.name === 'Idle' || connection.initiatedBy === 'peer';
    if (!isOver) return;
    addCounters(this.#past, connection.counters);
    if (connection === this.#outgoing) this.#outgoing = undefined;
    if (connection === this.#incoming) this.#incoming = undefined;
    if (this.#isRunning && this.#established === undefined && this.#outgoing === undefined)
      this.#scheduleRestart(cause);
    this.#show();
  }

  /** Doubling after errors; a peer that only went away is asked again at the shortest delay. */
  #scheduleRestart(cause: CloseCause): void {
    clearTimeout(this.#restart);
    const seconds = isError(cause) ? this.#backoffSeconds : MIN_BACKOFF_SECONDS;
    if (isError(cause)) this.#backoffSeconds = Math.min(2 * this.#backoffSeconds, MAX_BACKOFF_SECONDS);
    const jitter = 0.75 + 0.25 * this.#random();
    this.#restart = setTimeout(
      () => {
        if (this.#isRunning && this.#established === undefined) this.#beginConnecting();
      },
      seconds * 1000 * jitter,
    );
  }

  #restartsGracefully(): boolean {
    return (this.#established?.session.gracefulRestart?.forwardingKept.size ?? 0) > 0;
  }

  #connections(): Connection[] {
    const all = [this.#outgoing, this.#incoming, this.#established?.connection];
    return all.filter((connection) => connection !== undefined);
  }

  /** The state of the connection that is farthest; a passive peer without one is Active. */
  #show(): void {
    const resting: StateName = this.#isRunning && this.#config.passive ? 'Active' : 'Idle';
    const states = [resting, ...this.#connections().map((connection) => connection.state.name)];
    const state = states.reduce((best, one) => (ORDER.indexOf(one) > ORDER.indexOf(best) ? one : best));
    if (state === this.#shown) return;
    this.#shown = state;
    this.#since = new Date();
    this.#handlers.stateChanged(this, state);
  }
}

function candidate(connection: Connection): Candidate {
  return { state: connection.state.name, initiatedBy: connection.initiatedBy };
}

function addCounters(
  sum: { -readonly [K in keyof Connection['counters']]: number },
  more: Connection['counters'],
): void {
  sum.received += more.received;
  sum.sent += more.sent;
  sum.updatesReceived += more.updatesReceived;
  sum.updatesSent += more.updatesSent;
}

/** A Cease with this subcode (RFC 4486). */
export function cease(subcode: number): Notification {
  return notification(ErrorCode.cease, subcode);
}
