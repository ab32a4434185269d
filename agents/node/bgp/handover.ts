// Hands configurations to bgpd so that no route is lost when the topology changes: what leaves stays until bgpd's own tables
// say that it is not needed any more (transition.ts decides), or the time is over, which is said.

import type { EventSink } from '../../../lib/events/event.ts';
import { waitFor } from '../../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import type { BgpdLink } from '../bgpd-link.ts';
import { missing, planTransition, type Transition, withLeaving } from './transition.ts';

/** How often bgpd is asked while peers are waited for. */
const POLL_MS = 500;

export interface HandoverOptions {
  readonly bgpd: Pick<BgpdLink, 'configure' | 'status' | 'rib'>;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly patienceMs: number;
}

export class Handover {
  readonly #options: HandoverOptions;
  readonly #stopping = new AbortController();
  /** What bgpd was given last, leaving peers among it. */
  #given: BgpdConfigurationInput | undefined;
  #wanted: BgpdConfigurationInput | undefined;
  #transition: Transition | undefined;
  #waitingFor: string | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** What leaving peers are kept for; undefined: none are. */
  get waitingFor(): string | undefined {
    return this.#waitingFor;
  }

  change(wanted: BgpdConfigurationInput, isKept: (peer: string) => boolean): void {
    const { patienceMs, events } = this.#options;
    const isNew = this.#transition === undefined;
    this.#wanted = wanted;
    this.#transition = planTransition({
      before: this.#given,
      wanted,
      running: this.#transition,
      isKept,
      now: performance.now(),
      patienceMs,
    });
    this.#waitingFor = this.#transition === undefined ? undefined : 'bgpd has not been asked yet';
    this.#give();
    if (this.#transition === undefined) return;
    if (isNew)
      events.emit({
        component: 'agent',
        kind: 'bgpHandover',
        count: this.#transition.leaving.length,
        cause: 'peers leave, and stay until others have taken over',
      });
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#polling;
  }

  #give(): void {
    if (this.#wanted === undefined) return;
    this.#given = withLeaving(this.#wanted, this.#transition);
    this.#options.bgpd.configure(this.#given);
  }

  async #poll(): Promise<void> {
    const signal = this.#stopping.signal;
    while (await waitFor(POLL_MS, signal)) {
      const asked = this.#transition;
      if (asked === undefined) return;
      const reason = await this.#missing(asked);
      if (signal.aborted) return;
      // A change of configuration meanwhile has its own transition: that one is asked about next.
      if (asked !== this.#transition) continue;
      const isLate = performance.now() >= asked.deadline;
      this.#waitingFor = reason;
      if (reason !== undefined && !isLate) continue;
      this.#end(asked, reason);
      return;
    }
  }

  #end({ leaving }: Transition, reason: string | undefined): void {
    const { events, logger } = this.#options;
    const names = leaving.map(({ name }) => name);
    if (reason !== undefined)
      logger.warn('peers leave before others have taken over', { peers: names, reason });
    events.emit({
      component: 'agent',
      kind: 'bgpHandover',
      count: leaving.length,
      cause: reason === undefined ? 'others have taken over' : `waited long enough: ${reason}`,
    });
    this.#transition = undefined;
    this.#waitingFor = undefined;
    this.#give();
  }

  async #missing(transition: Transition): Promise<string | undefined> {
    const { bgpd } = this.#options;
    try {
      const { peers } = await bgpd.status();
      const { destinations } = await bgpd.rib();
      return missing(transition, peers, destinations);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
