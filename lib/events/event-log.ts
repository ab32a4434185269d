// Bounded ring of a host's events with followers (docs/interfaces.md "Events"). What falls out is counted, never hidden.

import type { CalicoEvent, EventInput, EventSink } from './event.ts';

export interface EventLogOptions {
  readonly host: string;
  /** How many events are kept; 8192 if left out. */
  readonly capacity?: number;
  readonly now?: () => Date;
}

export type EventFollower = (event: CalicoEvent) => void;

export class EventLog implements EventSink {
  readonly host: string;
  readonly #capacity: number;
  readonly #now: () => Date;
  readonly #ring: CalicoEvent[] = [];
  readonly #followers = new Set<EventFollower>();
  #nextSeq = 1;

  constructor(options: EventLogOptions) {
    this.host = options.host;
    this.#capacity = options.capacity ?? 8192;
    this.#now = options.now ?? (() => new Date());
  }

  emit(event: EventInput): void {
    this.#append({ time: this.#now().toISOString(), host: this.host, seq: this.#nextSeq++, ...event });
  }

  /** Takes over an event that another process of this host has stamped (bgpd, kubelet), under a sequence number of ours. */
  relay(event: Omit<CalicoEvent, 'host' | 'seq'>): void {
    this.#append({ ...event, host: this.host, seq: this.#nextSeq++ });
  }

  /** Events with `seq` greater than `afterSeq`, oldest first, and how many of those have been overwritten. */
  read(
    afterSeq = 0,
    limit = this.#capacity,
  ): { readonly events: readonly CalicoEvent[]; readonly lost: number } {
    // Who has read further than this log has come read an earlier one, of before a restart: it gets all of this one.
    const after = afterSeq >= this.#nextSeq ? 0 : afterSeq;
    const oldest = this.#ring[0]?.seq ?? this.#nextSeq;
    const lost = Math.max(0, oldest - after - 1);
    const events = this.#ring.filter((event) => event.seq > after).slice(0, limit);
    return { events, lost };
  }

  /** Calls the follower for each event from now on; returns what ends it. */
  follow(follower: EventFollower): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  #append(event: CalicoEvent): void {
    this.#ring.push(event);
    if (this.#ring.length > this.#capacity) this.#ring.shift();
    for (const follower of this.#followers) {
      try {
        follower(event);
      } catch {
        // An emitter must not fail because of a reader: the reader goes.
        this.#followers.delete(follower);
      }
    }
  }
}
