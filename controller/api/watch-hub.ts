// One watch on etcd feeds every watch of the API (docs/api.md "Watch"): recent events are kept so that a client resumes
// without etcd, and each new revision reaches idle watches at once, as bookmarks.

import { type Datastore, DatastoreError, type WatchEvent } from '../../lib/datastore/datastore.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { ApiError } from './api-error.ts';

/** Roots whose changes clients can watch. */
export const WATCHED_ROOTS = ['/registry/', '/calico/resources/v3/'] as const;
/** Events kept per root for resuming clients. */
const HISTORY = 20_000;
const RETRY_MS = 500;
/** Events that may wait for one slow client before its watch is ended (it lists again). */
const MAX_PENDING = 10_000;
/** Watches at a time. */
const MAX_SUBSCRIPTIONS = 5_000;

export interface HubItem {
  /** Undefined: everything up to `revision` has been said. */
  readonly event: WatchEvent | undefined;
  readonly revision: number;
}

export interface WatchHubOptions {
  readonly datastore: Datastore;
  readonly root: string;
  readonly logger: Logger;
  /** A watch has ended, or could not begin, because its client was too slow or its version too old. */
  readonly onExpired?: () => void;
}

export class WatchHub {
  readonly #options: WatchHubOptions;
  readonly #history: HubItem[] = [];
  readonly #subscriptions = new Set<Subscription>();
  readonly #stopping = new AbortController();
  #oldest = 0;
  #revision = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: WatchHubOptions) {
    this.#options = options;
  }

  /** Resolves once the present revision is known and the watch is under way. */
  async start(): Promise<void> {
    const { revision } = await this.#options.datastore.list(this.#options.root, { limit: 1 });
    this.#revision = revision;
    this.#oldest = revision;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const subscription of this.#subscriptions) subscription.end();
    await this.#running;
  }

  /** Newest revision up to which events have been seen. */
  get revision(): number {
    return this.#revision;
  }
  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /** Events of keys with `prefix` after `revision`; throws Expired when they are no longer kept. */
  subscribe(
    prefix: string,
    revision: number,
    signal: AbortSignal,
    onExpired: () => void = () => {},
  ): AsyncIterable<HubItem> {
    if (revision < this.#oldest) {
      this.#options.onExpired?.();
      throw new ApiError('Expired', `too old resource version: ${revision} (${this.#oldest})`);
    }
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS)
      throw new ApiError('TooManyRequests', `more than ${MAX_SUBSCRIPTIONS} watches at a time`, {
        retryAfterSeconds: 10,
      });
    const subscription = new Subscription(prefix, revision, () => {
      this.#options.onExpired?.();
      onExpired();
    });
    for (const item of this.#history) subscription.push(item);
    if (this.#revision > revision) subscription.push({ event: undefined, revision: this.#revision });
    this.#subscriptions.add(subscription);
    const end = (): void => {
      subscription.end();
      this.#subscriptions.delete(subscription);
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted || this.#stopping.signal.aborted) end();
    return subscription.items();
  }

  async #run(): Promise<void> {
    const { datastore, root, logger } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        const options = { fromRevision: this.#revision + 1, signal: this.#stopping.signal };
        for await (const batch of datastore.watch(root, options)) this.#take(batch.events, batch.revision);
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        logger.warn('watch of the datastore ended', { root, error });
        await this.#recover(error);
      }
    }
  }

  /** After a compaction the events in between are lost to us: clients are sent to list again. */
  async #recover(error: unknown): Promise<void> {
    if (error instanceof DatastoreError && error.type.code === 'compacted') {
      const revision = await this.#currentRevision();
      if (revision === undefined) return;
      this.#history.length = 0;
      this.#oldest = revision;
      this.#revision = revision;
      for (const subscription of this.#subscriptions) subscription.expire();
      this.#subscriptions.clear();
      return;
    }
    await waitFor(RETRY_MS, this.#stopping.signal);
  }

  async #currentRevision(): Promise<number | undefined> {
    try {
      return (
        await this.#options.datastore.list(this.#options.root, { limit: 1, signal: this.#stopping.signal })
      ).revision;
    } catch {
      await waitFor(RETRY_MS, this.#stopping.signal);
      return undefined;
    }
  }

  #take(events: readonly WatchEvent[], revision: number): void {
    for (const event of events) {
      const item = { event, revision: event.type === 'put' ? event.kv.modRevision : event.revision };
      this.#history.push(item);
      for (const subscription of this.#subscriptions) subscription.push(item);
    }
    while (this.#history.length > HISTORY) this.#oldest = this.#history.shift()?.revision ?? this.#oldest;
    this.#revision = Math.max(this.#revision, revision);
    for (const subscription of this.#subscriptions)
      subscription.push({ event: undefined, revision: this.#revision });
  }
}

/** The queue of one client. Progress marks coalesce; events never do. */
class Subscription {
  readonly #prefix: string;
  readonly #queue: HubItem[] = [];
  #after: number;
  #state: 'open' | 'ended' | 'expired' = 'open';
  #wake: (() => void) | undefined;

  readonly #onExpired: () => void;

  constructor(prefix: string, after: number, onExpired: () => void) {
    this.#prefix = prefix;
    this.#after = after;
    this.#onExpired = onExpired;
  }

  push(item: HubItem): void {
    if (this.#state !== 'open' || item.revision <= this.#after) return;
    if (item.event !== undefined) {
      const key = item.event.type === 'put' ? item.event.kv.key : item.event.key;
      if (!key.startsWith(this.#prefix)) return;
    } else {
      this.#after = item.revision;
      if (this.#queue.at(-1)?.event === undefined) this.#queue.pop();
    }
    this.#queue.push(item);
    if (this.#queue.length > MAX_PENDING) this.expire();
    else this.#wake?.();
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    this.#wake?.();
  }

  expire(): void {
    if (this.#state !== 'open') return;
    this.#state = 'expired';
    this.#queue.length = 0;
    this.#onExpired();
    this.#wake?.();
  }

  async *items(): AsyncGenerator<HubItem> {
    for (;;) {
      if (this.#state === 'ended') return;
      if (this.#state === 'expired') throw new ApiError('Expired', 'the watch fell too far behind');
      const item = this.#queue.shift();
      if (item !== undefined) {
        yield item;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
