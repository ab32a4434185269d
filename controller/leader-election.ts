// Who acts: one controller at a time holds `/calico-ts/election/NAME` under an etcd lease. The holder trusts its own clock, not the
// lease's word: it stops acting before the lease can have run out (the etcd3 package reports a loss up to one TTL late).

import { setTimeout as delay } from 'node:timers/promises';
import type { Compare, Datastore, Lease } from '../lib/datastore/datastore.ts';
import type { EventSink } from '../lib/events/event.ts';
import { waitFor } from '../lib/lifecycle/backoff.ts';
import type { Logger } from '../lib/logging/logger.ts';

const ELECTION_ROOT = '/calico-ts/election/';
const CHECK_MS = 500;
const REVOKE_MS = 1000;
/** Left of the lease when the holder stops acting, for what is under way to end. */
const MARGIN_MS = 1000;

export interface LeaderElectionOptions {
  readonly datastore: Datastore;
  readonly name: string;
  /** Of this controller; unique per process start. */
  readonly identity: string;
  readonly ttlSeconds: number;
  /** Acts until the signal aborts; must return soon after. Every write is to be made under the condition `fence`. */
  readonly lead: (signal: AbortSignal, fence: Compare) => Promise<void>;
  readonly events: EventSink;
  readonly logger: Logger;
}

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #key: string;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isLeader = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#key = `${ELECTION_ROOT}${options.name}`;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#campaign();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        logger.warn('leader election failed', { error });
      }
      await waitFor(CHECK_MS, this.#stopping.signal);
    }
  }

  async #campaign(): Promise<void> {
    const { datastore, identity, ttlSeconds } = this.#options;
    const { kv } = await datastore.get(this.#key);
    if (kv !== undefined) return;
    const lease = await datastore.grantLease(ttlSeconds);
    try {
      const { succeeded, revision } = await datastore.transact({
        compare: [{ key: this.#key, modRevision: 0 }],
        success: [{ type: 'put', key: this.#key, value: JSON.stringify({ identity }), lease: lease.id }],
      });
      if (succeeded) await this.#lead(lease, { key: this.#key, createRevision: revision });
    } finally {
      // It expires unattended; whoever is stopping does not wait for an etcd that is not there.
      await Promise.race([
        lease.revoke().catch(() => undefined),
        delay(REVOKE_MS, undefined, { ref: false }),
      ]);
    }
  }

  async #lead(lease: Lease, fence: Compare): Promise<void> {
    const { lead, events, logger, identity } = this.#options;
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, lease.lost, this.#stopping.signal]);
    this.#isLeader = true;
    events.emit({ component: 'controller', kind: 'leaderElected', cause: identity });
    logger.info('elected leader', { identity });
    const acting = lead(signal, fence);
    try {
      const watching = this.#watchLease(lease, signal);
      await Promise.race([acting, watching]);
    } finally {
      ended.abort();
      this.#isLeader = false;
      await acting.catch((error: unknown) => logger.error('acting as leader failed', { error }));
      events.emit({ component: 'controller', kind: 'leaderLost', cause: identity });
      logger.info('no longer leader', { identity });
    }
  }

  async #watchLease(lease: Lease, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && performance.now() < lease.validUntil() - MARGIN_MS)
      await waitFor(CHECK_MS, signal);
  }
}
