// A lease of the in-memory twin: expires by the injected clock, kept alive while its client is connected.

import type { Clock } from '../../lifecycle/clock.ts';
import { DatastoreError, type Lease } from '../datastore.ts';
import type { MemoryStore } from './memory-store.ts';

export interface MemoryLeaseOptions {
  readonly store: MemoryStore;
  readonly clock: Clock;
  readonly ttlSeconds: number;
  readonly keepAlive: boolean;
  readonly isConnected: () => boolean;
  readonly onEnd: (lease: MemoryLease) => void;
}

export class MemoryLease implements Lease {
  readonly id: string;
  readonly ttlSeconds: number;
  readonly #options: MemoryLeaseOptions;
  readonly #lost = new AbortController();
  #validUntilMs: number;
  #isAbandoned = false;
  #cancelTimer: () => void = () => {};

  constructor(options: MemoryLeaseOptions) {
    this.#options = options;
    this.id = options.store.createLease();
    this.ttlSeconds = options.ttlSeconds;
    this.#validUntilMs = options.clock.now() + options.ttlSeconds * 1000;
    this.#scheduleKeepAlive();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  validUntil(): number {
    return this.#validUntilMs;
  }

  async revoke(): Promise<void> {
    if (!this.#options.isConnected()) {
      throw new DatastoreError({ code: 'unavailable', operation: 'leaseRevoke' });
    }
    this.#end();
  }

  /** No keep-alive any more: it expires by itself. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  #scheduleKeepAlive(): void {
    const thirdMs = (this.ttlSeconds * 1000) / 3;
    const untilExpiryMs = this.#validUntilMs - this.#options.clock.now();
    this.#cancelTimer = this.#options.clock.schedule(Math.min(thirdMs, untilExpiryMs), () => this.#tick());
  }

  #tick(): void {
    const { clock, keepAlive, isConnected, store } = this.#options;
    const nowMs = clock.now();
    if (nowMs >= this.#validUntilMs || !store.hasLease(this.id)) {
      this.#end();
      return;
    }
    if (keepAlive && !this.#isAbandoned && isConnected()) this.#validUntilMs = nowMs + this.ttlSeconds * 1000;
    this.#scheduleKeepAlive();
  }

  #end(): void {
    this.#cancelTimer();
    this.#options.store.dropLease(this.id);
    this.#options.onEnd(this);
    this.#lost.abort();
  }
}
