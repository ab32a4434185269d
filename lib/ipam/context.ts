// What every IPAM operation works with, and the loop that makes a decision again after a lost compare-and-swap
// (docs/ipam.md "Writes").

import { Backoff } from '../lifecycle/backoff.ts';
import type { Logger } from '../logging/logger.ts';
import type { IpamCatalog } from './catalog.ts';
import { IpamError } from './errors.ts';
import type { OwnBlocks } from './own-blocks.ts';
import type { IpamStore } from './store.ts';

/** Totals since the start; the agent exports them as `ipam_…` metrics. */
export interface IpamStats {
  assignedAddresses: number;
  releasedAddresses: number;
  claimedBlocks: number;
  releasedBlocks: number;
  /** Commits that another writer was ahead of. */
  conflicts: number;
  /** Commits whose answer was lost. */
  unknownOutcomes: number;
  /** Assignments waiting for their turn now. */
  waiting: number;
}

export interface IpamContext {
  readonly store: IpamStore;
  readonly catalog: IpamCatalog;
  readonly ownBlocks: OwnBlocks;
  /** What was said of pools that are left out, by name. */
  readonly brokenPools: Map<string, string>;
  /** Time of day in milliseconds. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Waits; false as soon as the signal aborts. */
  readonly wait: (delayMs: number, signal?: AbortSignal) => Promise<boolean>;
  readonly logger: Logger;
  readonly stats: IpamStats;
}

/** Attempts before an operation gives up with `tooManyConflicts`; Calico's number. */
export const MAX_ATTEMPTS = 100;
const BACKOFF = { minMs: 1, maxMs: 64 } as const;

/** Returned by an attempt that lost a compare-and-swap, or whose outcome is unknown, and must start from a fresh read. */
export const AGAIN = Symbol('again');

/** Repeats the attempt until it decides, at most MAX_ATTEMPTS times. Throws `tooManyConflicts`, or the signal's reason. */
export async function retry<T>(
  context: IpamContext,
  operation: string,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T | typeof AGAIN>,
): Promise<T> {
  const backoff = new Backoff({ ...BACKOFF, random: context.random });
  for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
    signal?.throwIfAborted();
    const result = await attempt();
    if (result !== AGAIN) return result;
    context.logger.debug('lost a compare-and-swap', { operation, attempts });
    await context.wait(backoff.next(), signal);
  }
  throw new IpamError({ code: 'tooManyConflicts', operation, attempts: MAX_ATTEMPTS });
}

/** One at a time, in order of arrival: pods added together on a host would only take blocks from under one another. */
export class Turns {
  readonly #limit: number;
  #isTaken = false;
  readonly #stats: IpamStats;
  #last: Promise<void> = Promise.resolve();

  constructor(limit: number, stats: IpamStats) {
    this.#limit = limit;
    this.#stats = stats;
  }

  /** Somebody has the turn, or waits for it. */
  get isBusy(): boolean {
    return this.#isTaken || this.#stats.waiting > 0;
  }

  /** Throws `busy` when the limit is waiting already, and the signal's reason if it aborts before the turn comes. */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#stats.waiting >= this.#limit)
      throw new IpamError({ code: 'busy', waiting: this.#stats.waiting });
    const previous = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = previous.then(() => promise);
    this.#stats.waiting++;
    try {
      await previous;
    } finally {
      this.#stats.waiting--;
    }
    this.#isTaken = true;
    try {
      signal?.throwIfAborted();
      return await work();
    } finally {
      this.#isTaken = false;
      resolve();
    }
  }
}
