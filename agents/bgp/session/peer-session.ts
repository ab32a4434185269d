// A configured peer: its connections (one of ours, one of the peer's), collision between them, reconnect delays, and
// what status shows of it (RFC 4271 §6.8, §8.1.1 DampPeerOscillations).

import type { Socket } from 'node:net';
import type { BgpdReason } from '../../../lib/protocol/bgpd-status.ts';
import type { PeerConfig } from '../config.ts';
import { type CollisionSides, isShakingHands } from '../fsm/collision.ts';
import type { CloseCause, Event, StateName } from '../fsm/fsm.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import type { Notification, UpdateFault } from '../packet/errors.ts';
import { TYPE_OFFSET } from '../packet/header.ts';
import { type AddressFamily, MessageType } from '../packet/iana.ts';
import type { SessionEnd } from '../rib/rib.ts';
import type { Refusal } from './admission.ts';
import { describeCause, isError, isGraceful, refusesParameters } from './close-cause.ts';
import { Connection, type ConnectionHandlers } from './connection.ts';
import { Diagnosis } from './diagnosis.ts';
import { dial } from './dial.ts';
import type { PeerHistory } from './history.ts';
import { socketOptionsProblem } from './libc.ts';
import { localSessionOf, type SpeakerIdentity } from './local-session.ts';
import { MessageCounts, type PeerCounts } from './peer-counts.ts';
import { PeerRecord, type PeerStatus } from './peer-record.ts';
import { protectAccepted } from './protect.ts';
import type { Waiting } from './reason.ts';
import { Reconnect } from './reconnect.ts';
import { RefreshWindows, refreshRequests } from './refresh-windows.ts';
import { endRivals, resolveCollisions } from './rivals.ts';
import { ShownState } from './shown-state.ts';
import { cease, type PeerStop, shutdown } from './stop.ts';

/** What the speaker does with a session's life. */
export interface PeerHandlers {
  readonly up: (peer: PeerSession, session: NegotiatedSession, localAddress: string) => void;
  readonly down: (peer: PeerSession, session: NegotiatedSession, end: SessionEnd, reason: string) => void;
  /** A whole UPDATE, valid until the call returns. Throws DecodeError where the session has to be reset. */
  readonly update: (peer: PeerSession, octets: Uint8Array) => void;
  /** The peer takes nothing for now, or takes something again. */
  readonly behind: (peer: PeerSession, isBehind: boolean) => void;
  /** The peer asks for our routes of the family again. */
  readonly refreshAsked: (peer: PeerSession, family: AddressFamily) => void;
  /** All routes of the family come again until `refreshEnds`: those that do not are gone by then (RFC 7313 §4). */
  readonly refreshBegins: (peer: PeerSession, family: AddressFamily) => void;
  readonly refreshEnds: (peer: PeerSession, family: AddressFamily) => void;
  /** Why connections from the peer's address would be refused; undefined where they would not be. */
  readonly listenProblem: (peer: PeerSession) => string | undefined;
  readonly stateChanged: (peer: PeerSession, state: StateName) => void;
}

export class PeerSession {
  #config: PeerConfig;
  readonly #identity: SpeakerIdentity;
  readonly #handlers: PeerHandlers;
  /** Ours and the peer's, until one of them is Established. */
  #outgoing: Connection | undefined;
  #incoming: Connection | undefined;
  #established:
    | { readonly connection: Connection; readonly session: NegotiatedSession; readonly at: number }
    | undefined;
  readonly #random: () => number;
  readonly #reconnect: Reconnect;
  #isRunning = false;
  /** Down for what the peer did, until a time is over. */
  #heldDown: { readonly subcode: number; readonly reason: string } | undefined;
  #hadSession: boolean;
  #keepsRoutes = false;
  readonly #shown = new ShownState();
  #lastError: PeerStatus['lastError'];
  /** The peer has refused the optional parameters of our last OPEN: the next one has none (RFC 5492 §3). */
  #refusedCapabilities = false;
  readonly #refreshes = new RefreshWindows({
    asked: (family) => this.#handlers.refreshAsked(this, family),
    begins: (family) => this.#handlers.refreshBegins(this, family),
    ends: (family) => this.#handlers.refreshEnds(this, family),
  });
  readonly #diagnosis: Diagnosis;
  readonly record: PeerRecord;

  /**
   * `hadSession`: under an earlier configuration of this process there was a session with the same speaker. `record`: what
   * is told of the peer since then.
   */
  constructor(
    config: PeerConfig,
    identity: SpeakerIdentity,
    handlers: PeerHandlers,
    random: () => number,
    hadSession: boolean,
    record = new PeerRecord(),
  ) {
    this.#config = config;
    this.#hadSession = hadSession;
    this.record = record;
    this.#diagnosis = new Diagnosis(record.history);
    this.#identity = identity;
    this.#handlers = handlers;
    this.#reconnect = new Reconnect(random);
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

  get history(): PeerHistory {
    return this.record.history;
  }

  get counts(): PeerCounts {
    return this.record.counts;
  }

  get queue(): Connection['queue'] | undefined {
    return this.#established?.connection.queue;
  }

  /** Waits for the end of a delay that its own doing has earned: nothing of it is to be forgotten. */
  get isHeldBack(): boolean {
    return this.#heldDown !== undefined || this.#reconnect.backoff.isDamped;
  }

  /** Why there is no session; undefined while there is one. */
  get why(): BgpdReason | undefined {
    if (this.#established !== undefined) return undefined;
    return this.#diagnosis.why(this.#waiting(), this.#config, this.#outgoing);
  }

  get status(): PeerStatus {
    const messages = new MessageCounts();
    messages.add(this.counts.messages);
    for (const connection of this.#connections()) messages.add(connection.counters);
    return {
      state: this.#shown.name,
      since: this.#shown.since,
      flaps: this.record.flaps,
      lastError: this.#lastError,
      messages,
    };
  }

  start(): void {
    if (!this.#config.enabled) return;
    this.#isRunning = true;
    this.#heldDown = undefined;
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
    this.#reconnect.backoff.reset();
    this.start();
  }

  /** Ends the session for what would happen again at once: for so long the peer is neither called nor listened to. */
  holdDown(cease: Notification, reason: string, seconds: number): void {
    this.#end({ type: 'AutomaticStop', cease, reason }, false);
    this.#heldDown = { subcode: cease.subcode, reason };
    this.#reconnect.after(seconds, () => this.start());
  }

  /** Takes a changed configuration; the session goes on, timers count from the next OPEN. */
  reconfigure(config: PeerConfig): void {
    const becameActive = this.#config.passive && !config.passive;
    const mayAnnounceMore = config.rib.maxPrefixes > this.#config.rib.maxPrefixes;
    const wasEnabled = this.#config.enabled;
    this.#config = config;
    if (wasEnabled !== config.enabled) this.#enable(config.enabled);
    if (this.#heldDown !== undefined && mayAnnounceMore) this.start();
    if (becameActive && this.#isRunning && this.#established === undefined) this.#beginConnecting();
  }

  /** An accepted connection from the peer's address. */
  accept(socket: Socket): 'taken' | Refusal {
    if (!this.#isRunning || this.#reconnect.backoff.isDamped) return 'notNow';
    if (this.#incoming?.state.name === 'OpenConfirm') return 'notNow';
    // Without graceful restart a second connection cannot replace the session (RFC 4271 §6.8).
    if (this.#established !== undefined && !this.#restartsGracefully()) return 'notNow';
    const refusal = protectAccepted(socket, this.#config.ttlSecurity);
    if (refusal !== undefined) return refusal;
    // A peer that connects again has given the first one up.
    this.#incoming?.dispatch({ type: 'OpenCollisionDump' });
    this.#incoming = this.#connection('peer', true);
    this.#incoming.accept(socket);
    return 'taken';
  }

  /** Sends whole messages of UPDATEs and marks. */
  send(buffers: readonly Uint8Array[], count: number): void {
    this.#established?.connection.send(buffers, count, count);
  }

  /** Asks for the peer's routes again (RFC 2918); false if the peer does not know how. */
  requestRefresh(): boolean {
    if (this.#established?.session.routeRefresh !== true) return false;
    const { connection, session } = this.#established;
    const messages = refreshRequests(session.context);
    connection.send(messages, messages.length, 0);
    connection.counters.controlSent.routeRefresh += messages.length;
    return true;
  }

  /** A malformed UPDATE that did not cost the session. */
  noteError({ reason: text, reaction }: UpdateFault): void {
    const time = new Date();
    const reason = `malformed UPDATE: ${text}`;
    this.counts.updateErrors[reaction]++;
    this.#lastError = { time, reason };
    const octets = this.#established?.connection.message ?? new Uint8Array();
    this.history.malformed(octets, reason, time, { endsSession: false });
  }

  /** A message that costs the session. */
  #malformed(octets: Uint8Array, reason: string): void {
    if (octets[TYPE_OFFSET] === MessageType.update) this.counts.updateErrors.sessionReset++;
    this.history.malformed(octets, reason, new Date(), { endsSession: true });
  }

  /** Administratively up, or down with a word for the peer's operator (RFC 9003). */
  #enable(isEnabled: boolean): void {
    if (isEnabled) {
      this.start();
      return;
    }
    this.stop({ cease: shutdown(this.#config), hard: true });
    this.#reconnect.backoff.reset();
    this.#show();
  }

  #end(event: Event, keepsRoutes: boolean): void {
    this.#isRunning = false;
    this.#heldDown = undefined;
    this.#keepsRoutes = keepsRoutes;
    this.#reconnect.cancel();
    for (const connection of this.#connections()) connection.dispatch(event);
  }

  #beginConnecting(): void {
    this.#reconnect.cancel();
    if (this.#config.passive || this.#outgoing !== undefined) {
      this.#show();
      return;
    }
    this.#diagnosis.attemptBegins();
    this.#outgoing = this.#connection('local', false);
    this.#outgoing.dispatch({ type: 'ManualStart' });
  }

  #connection(initiatedBy: 'local' | 'peer', passive: boolean): Connection {
    return new Connection({
      initiatedBy,
      passive,
      connectRetrySeconds: () => this.#config.connectRetrySeconds,
      localSession: () =>
        localSessionOf(this.#config, this.#identity, {
          hadSession: this.#hadSession,
          refusedCapabilities: this.#refusedCapabilities,
        }),
      dial: () => dial(this.#config),
      handlers: this.#connectionHandlers(),
      random: this.#random,
    });
  }

  #connectionHandlers(): ConnectionHandlers {
    return {
      stateChanged: () => this.#show(),
      opened: (connection, session) =>
        resolveCollisions(connection, this.#connections(), this.#sides(session)),
      up: (connection, session) => this.#up(connection, session),
      down: (connection, session, cause) => this.#down(connection, session, cause),
      update: (_connection, octets) => this.#handlers.update(this, octets),
      behind: (_connection, isBehind) => this.#handlers.behind(this, isBehind),
      routeRefresh: (_connection, message) => {
        const session = this.#established?.session;
        if (session !== undefined) this.#refreshes.receive(message, session.context);
      },
      closed: (connection, cause) => this.#closed(connection, cause),
      malformed: (_connection, octets, reason) => this.#malformed(octets, reason),
    };
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
    this.#diagnosis.established();
    this.#reconnect.cancel();
    if (connection === this.#outgoing) this.#outgoing = undefined;
    if (connection === this.#incoming) this.#incoming = undefined;
    endRivals(connection, this.#connections(), this.#sides(session));
    this.#handlers.up(this, session, connection.localAddress ?? '');
  }

  #down(connection: Connection, session: NegotiatedSession, cause: CloseCause): void {
    if (this.#established?.connection !== connection) return;
    // What we end ourselves says nothing of the peer.
    if (cause.kind !== 'stopped')
      this.#reconnect.backoff.sessionEnded(performance.now() - this.#established.at);
    this.#established = undefined;
    this.#refreshes.clear();
    this.record.flaps++;
    this.counts.countDown(cause);
    const graceful = (this.#isRunning || this.#keepsRoutes) && isGraceful(cause, session);
    // After a restart both ends call: the first session may give way to the other connection at once.
    const sameRestart = this.#connections().some(({ state }) => isShakingHands(state.name));
    this.#handlers.down(this, session, { graceful, sameRestart }, describeCause(cause));
  }

  #closed(connection: Connection, cause: CloseCause): void {
    const time = new Date();
    if (cause.kind !== 'stopped' && cause.kind !== 'collision') {
      this.#lastError = { time, reason: describeCause(cause) };
      this.#diagnosis.failed(cause, this.#config, connection, time);
    }
    this.#refusedCapabilities = !this.#refusedCapabilities && refusesParameters(cause);
    const isOver = connection.state.name === 'Idle' || connection.initiatedBy === 'peer';
    if (!isOver) return;
    this.counts.messages.add(connection.counters);
    if (connection === this.#outgoing) this.#outgoing = undefined;
    if (connection === this.#incoming) this.#incoming = undefined;
    if (this.#isRunning && this.#established === undefined && this.#outgoing === undefined)
      this.#scheduleRestart(cause);
    this.#show();
  }

  #scheduleRestart(cause: CloseCause): void {
    // RFC 5492 §3: without capabilities it may well do.
    this.#reconnect.afterBackoff(isError(cause) && !this.#refusedCapabilities, () => {
      if (!this.#isRunning || this.#established !== undefined) return;
      this.#reconnect.backoff.endDamping();
      this.#beginConnecting();
    });
  }

  #waiting(): Waiting {
    const seconds = this.#reconnect.seconds;
    if (!this.#config.enabled) return { kind: 'disabled' };
    if (this.#heldDown !== undefined) return { kind: 'heldDown', ...this.#heldDown };
    if (this.#reconnect.backoff.isDamped)
      return { kind: 'flapping', sessions: this.#reconnect.backoff.shortLives, seconds };
    const ttlProblem = this.#config.ttlSecurity === undefined ? undefined : socketOptionsProblem();
    const problem = this.#handlers.listenProblem(this) ?? ttlProblem;
    if (problem !== undefined) return { kind: 'unprotected', problem };
    if (this.#shown.name === 'OpenSent') return { kind: 'noOpen' };
    if (this.#outgoing !== undefined) return { kind: 'connecting' };
    return this.#config.passive ? { kind: 'passive' } : { kind: 'restartTime' };
  }

  #restartsGracefully(): boolean {
    return (this.#established?.session.gracefulRestart?.forwardingKept.size ?? 0) > 0;
  }

  #connections(): Connection[] {
    const all = [this.#outgoing, this.#incoming, this.#established?.connection];
    return all.filter((connection) => connection !== undefined);
  }

  /** A passive peer without a connection is Active. */
  #show(): void {
    const resting: StateName = this.#isRunning && this.#config.passive ? 'Active' : 'Idle';
    const before = this.#shown.update(resting, this.#connections());
    if (before === undefined) return;
    const { name, since } = this.#shown;
    this.history.stateChanged(before, name, since);
    this.#handlers.stateChanged(this, name);
  }
}
