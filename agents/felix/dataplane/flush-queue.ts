// Flushes of the calculation graph that wait for the kernel to have them (docs/dataplane.md "Driver", coalescing).

import type { EventSink } from '../../../lib/events/event.ts';
import type { TableUpdate } from '../nftables/table-driver.ts';
import { DataplaneError } from './dataplane-error.ts';

/** The kernel holds everything up to `revision`: new and live flows get the new verdicts. */
export interface FlushAck extends TableUpdate {
  readonly revision: number;
  /** From `apply` to the acknowledgement. */
  readonly durationMs: number;
}

interface Waiter {
  readonly revision: number;
  readonly startedAtMs: number;
  readonly resolve: (ack: FlushAck) => void;
  readonly reject: (error: DataplaneError) => void;
}

/** What one bringing up to date will have acknowledged. */
export interface TakenFlushes {
  readonly waiters: readonly Waiter[];
  /** The latest of all flushes so far. */
  readonly revision: number;
}

/** Flushes that may wait for their acknowledgement: far more than a graph that coalesces ever has. */
const MOST_WAITERS = 10_000;

export class FlushQueue {
  readonly #events: EventSink;
  readonly #nowMs: () => number;
  #waiters: Waiter[] = [];
  #revision = 0;

  constructor(events: EventSink, nowMs: () => number) {
    this.#events = events;
    this.#nowMs = nowMs;
  }

  get isWaiting(): boolean {
    return this.#waiters.length > 0;
  }

  /** Throws DataplaneError `tooManyFlushes`; the promise rejects with `stopped`. */
  add(revision: number): Promise<FlushAck> {
    if (this.#waiters.length >= MOST_WAITERS)
      throw new DataplaneError({ code: 'tooManyFlushes', limit: MOST_WAITERS });
    this.#revision = Math.max(this.#revision, revision);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ revision, startedAtMs: this.#nowMs(), resolve, reject });
    });
  }

  take(): TakenFlushes {
    const taken = { waiters: this.#waiters, revision: this.#revision };
    this.#waiters = [];
    return taken;
  }

  /** The kernel has not got them: they go on waiting. */
  putBack({ waiters }: TakenFlushes): void {
    this.#waiters = [...waiters, ...this.#waiters];
  }

  acknowledge({ waiters, revision }: TakenFlushes, update: TableUpdate, startedAtMs: number): void {
    const now = this.#nowMs();
    if (update.transactions > 0) {
      this.#events.emit({
        component: 'agent',
        kind: 'kernelTransaction',
        revision,
        generation: update.generation,
        count: update.operations,
        durationMs: round(now - startedAtMs),
      });
    }
    for (const waiter of waiters)
      waiter.resolve({ ...update, revision: waiter.revision, durationMs: round(now - waiter.startedAtMs) });
  }

  stop(): void {
    for (const waiter of this.#waiters) waiter.reject(new DataplaneError({ code: 'stopped' }));
    this.#waiters = [];
  }
}

/** To hundredths. */
export function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
