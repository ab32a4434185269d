// Hands configurations to bgpd so that no route is lost when the topology changes: what leaves stays until bgpd's own tables
// say that it is not needed any more (transition.ts decides), or the time is over, which is said.

import type { EventSink } from '../../../lib/events/event.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import type { BgpdLink } from '../bgpd-link.ts';
import { duringTransition, missing, NO_TRANSITION, planTransition, type Transition } from './transition.ts';

/** How often bgpd is asked while peers are waited for. */
const POLL_MS = 500;

export interface HandoverOptions {
  readonly bgpd: Pick<BgpdLink, 'configure' | 'status' | 'wholeRib'>;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly patienceMs: number;
}

type Leaving = NonNullable<Transition['leaving']>;

export class Handover {
  readonly #options: HandoverOptions;
  readonly #stopping = new AbortController();
  /** What bgpd was given last, leaving peers among it. */
  #given: BgpdConfigurationInput | undefined;
  #wanted: BgpdConfigurationInput | undefined;
  #transition = NO_TRANSITION;
  #missing: string | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** What is kept and for what, in a sentence; undefined: nothing is. */
  get waitingFor(): string | undefined {
    const { leaving, clients } = this.#transition;
    if (leaving !== undefined)
      return `${leaving.peers.length} peers stay: ${this.#missing ?? 'bgpd has not been asked yet'}`;
    return clients === undefined ? undefined : `${clients.peers.length} peers may still need our reflection`;
  }

  /** Files that bgpd's configuration names: those of leaving peers too. */
  get passwordFiles(): ReadonlySet<string> {
    return new Set((this.#given?.peers ?? []).flatMap(({ passwordFile }) => passwordFile ?? []));
  }

  change(wanted: BgpdConfigurationInput, isKept: (peer: string) => boolean): void {
    const { patienceMs } = this.#options;
    const before = this.#transition;
    this.#wanted = wanted;
    this.#transition = planTransition({
      before: this.#given,
      wanted,
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
    if (this.#isRunning)
      this.#polling ??= this.#poll().finally(() => {
        this.#polling = undefined;
      });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
  }

  get #isRunning(): boolean {
    return this.#transition.leaving !== undefined || this.#transition.clients !== undefined;
  }

  #give(): void {
    if (this.#wanted === undefined) return;
    this.#given = duringTransition(this.#wanted, this.#transition);
    this.#options.bgpd.configure(this.#given);
  }

  async #poll(): Promise<void> {
    const signal = this.#stopping.signal;
    while (this.#isRunning && (await waitFor(POLL_MS, signal))) {
      const { leaving, clients } = this.#transition;
      if (clients !== undefined && performance.now() >= clients.deadline)
        this.#endClients(clients.peers.length);
      if (leaving === undefined) continue;
      const reason = await this.#ask(leaving);
      // A change of configuration meanwhile has its own transition: that one is asked about next.
      if (signal.aborted || leaving !== this.#transition.leaving) continue;
      this.#missing = reason;
      if (reason === undefined || performance.now() >= leaving.deadline) this.#endLeaving(leaving, reason);
    }
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

  async #ask(leaving: Leaving): Promise<string | undefined> {
    const { bgpd } = this.#options;
    try {
      const { peers } = await bgpd.status();
      const { destinations, total } = await bgpd.wholeRib();
      if (total > destinations.length)
        return `only ${destinations.length} of ${total} destinations can be looked at`;
      return missing(leaving, peers, destinations);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #emit(count: number, cause: string): void {
    this.#options.events.emit({ component: 'agent', kind: 'bgpHandover', count, cause });
  }
}
