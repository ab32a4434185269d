// Hands configurations to bgpd so that no route is lost when the topology changes: what leaves stays until bgpd's own tables
// say that it is not needed any more (transition.ts decides), or the time is over, which is said.

import { isNativeError } from 'node:util/types';
import type { EventSink } from '../../../lib/events/event.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import type { BgpdRib } from '../../../lib/protocol/bgpd-client.ts';
import type { GivenPeers } from './given-peers.ts';
import {
  duringTransition,
  type Leaving,
  missingSessions,
  missingWays,
  NO_TRANSITION,
  type PeerInput,
  type PeerState,
  planTransition,
} from './transition.ts';

/** How long after a change bgpd is asked first while peers are waited for; each further pause is twice as long. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

/** What is needed of the link to bgpd. */
export interface BgpdAccess {
  readonly configure: (configuration: BgpdConfigurationInput) => void;
  readonly status: () => Promise<{ readonly peers: readonly PeerState[] }>;
  readonly wholeRib: () => Promise<BgpdRib>;
}

/** What bgpd is to have. */
export interface Change {
  readonly wanted: BgpdConfigurationInput;
  /** Names of peers that are left out of it until their password is known. */
  readonly withheld: readonly string[];
  readonly isKept: (peer: string) => boolean;
}

export interface HandoverOptions {
  readonly bgpd: BgpdAccess;
  readonly given: GivenPeers;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly patienceMs: number;
}

export class Handover implements Startable {
  readonly #options: HandoverOptions;
  readonly #stopping = new AbortController();
  #wanted: BgpdConfigurationInput | undefined;
  #transition = NO_TRANSITION;
  #missing: string | undefined;
  #isLocked = false;
  #pauseMs = FIRST_PAUSE_MS;
  /** Ends the pause that is made. */
  #wake: (() => void) | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#options.given.load();
  }

  /** What is kept and for what, in a sentence; undefined: nothing is. */
  get waitingFor(): string | undefined {
    const { leaving, clients } = this.#transition;
    if (leaving !== undefined)
      return `${leaving.peers.length} peers stay: ${this.#missing ?? 'bgpd has not been asked yet'}`;
    return clients === undefined ? undefined : `${clients.peers.length} peers may still need our reflection`;
  }

  /** Peers that bgpd was given last, leaving ones too, by name. */
  get given(): ReadonlyMap<string, PeerInput> {
    return new Map(this.#options.given.peers.map((peer) => [peer.name, peer]));
  }

  change({ wanted, withheld, isKept }: Change): void {
    const { patienceMs, given } = this.#options;
    const before = this.#transition;
    const isFirst = this.#wanted === undefined;
    this.#wanted = wanted;
    this.#transition = planTransition({
      before: given.peers,
      isFirst,
      wanted,
      withheld,
      running: before,
      isKept,
      now: performance.now(),
      patienceMs,
    });
    const { leaving, clients } = this.#transition;
    if (before.leaving === undefined && leaving !== undefined)
      this.#emit(leaving.peers.length, 'peers leave, and stay until others have taken over');
    if (before.clients === undefined && clients !== undefined)
      this.#emit(clients.peers.length, `reflection ends, and goes on for ${patienceMs / 1000} s`);
    this.#give();
    this.#askSoon();
  }

  /** While locked, bgpd keeps what it has, and what leaves stays. */
  setLocked(isLocked: boolean): void {
    this.#isLocked = isLocked;
    if (!isLocked) this.#askSoon();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
    await this.#options.given.stop();
  }

  get #isRunning(): boolean {
    const { leaving, clients } = this.#transition;
    return !this.#isLocked && (leaving !== undefined || clients !== undefined);
  }

  #give(): void {
    if (this.#wanted === undefined) return;
    const configuration = duringTransition(this.#wanted, this.#transition);
    this.#options.given.set(configuration.peers ?? []);
    this.#options.bgpd.configure(configuration);
  }

  /** A first pause that is made already goes on: changes one after the other do not put off what is looked for. */
  #askSoon(): void {
    if (this.#pauseMs > FIRST_PAUSE_MS) this.#wake?.();
    this.#pauseMs = FIRST_PAUSE_MS;
    if (this.#isRunning) this.#polling ??= this.#poll();
  }

  async #poll(): Promise<void> {
    while (this.#isRunning && !this.#stopping.signal.aborted) {
      if (!(await this.#pause()) || !this.#isRunning) continue;
      this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
      await this.#look();
    }
    this.#polling = undefined;
  }

  /** No longer than until something is due. Whether it was not ended. */
  #pause(): Promise<boolean> {
    const { leaving, clients } = this.#transition;
    const due = Math.min(leaving?.deadline ?? Infinity, clients?.deadline ?? Infinity) - performance.now();
    const waking = new AbortController();
    this.#wake = () => waking.abort();
    const signal = AbortSignal.any([this.#stopping.signal, waking.signal]);
    return waitFor(Math.max(0, Math.min(this.#pauseMs, due)), signal);
  }

  async #look(): Promise<void> {
    const { leaving, clients } = this.#transition;
    if (clients !== undefined && performance.now() >= clients.deadline)
      this.#endClients(clients.peers.length);
    if (leaving === undefined) return;
    const reason = await this.#ask(leaving);
    // A change of configuration meanwhile has its own transition: that one is asked about next.
    const isStill = leaving === this.#transition.leaving && this.#isRunning;
    if (!isStill || this.#stopping.signal.aborted) return;
    this.#missing = reason;
    if (reason === undefined || performance.now() >= leaving.deadline) this.#endLeaving(leaving, reason);
  }

  #endLeaving({ peers }: Leaving, reason: string | undefined): void {
    if (reason !== undefined)
      this.#options.logger.warn('peers leave before others have taken over', {
        peers: peers.map(({ name }) => name),
        reason,
      });
    this.#emit(
      peers.length,
      reason === undefined ? 'others have taken over' : `waited long enough: ${reason}`,
    );
    this.#transition = { ...this.#transition, leaving: undefined };
    this.#give();
  }

  #endClients(count: number): void {
    this.#emit(count, 'reflection has ended');
    this.#transition = { ...this.#transition, clients: undefined };
    this.#give();
  }

  /** The whole table only after all sessions are there: it may be large. */
  async #ask(leaving: Leaving): Promise<string | undefined> {
    const { bgpd } = this.#options;
    try {
      const { peers } = await bgpd.status();
      const late = missingSessions(leaving, peers);
      if (late !== undefined) return late;
      const { destinations, total } = await bgpd.wholeRib();
      if (total > destinations.length)
        return `only ${destinations.length} of ${total} destinations can be looked at`;
      return missingWays(leaving, destinations);
    } catch (error) {
      return isNativeError(error) ? error.message : String(error);
    }
  }

  #emit(count: number, cause: string): void {
    this.#options.events.emit({ component: 'agent', kind: 'bgpHandover', count, cause });
  }
}
