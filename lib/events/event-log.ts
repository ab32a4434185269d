// A host's log of events: a bounded ring with followers (docs/interfaces.md "Events").

import type { CalicoEvent, EventInput, EventSink } from './event.ts';
import { type Follower, RecordRing } from './record-ring.ts';

export interface EventLogOptions {
  readonly host: string;
  /** How many events are kept; 8192 if left out. */
  readonly capacity?: number;
  readonly now?: () => Date;
}

export type EventFollower = Follower<CalicoEvent>;

export class EventLog implements EventSink {
  readonly ring: RecordRing<CalicoEvent>;
  readonly #now: () => Date;

  constructor({ host, capacity = 8192, now = () => new Date() }: EventLogOptions) {
    this.ring = new RecordRing(host, capacity);
    this.#now = now;
  }

  get host(): string {
    return this.ring.host;
  }

  emit(event: EventInput): void {
    const time = this.#now().toISOString();
    this.ring.append((place) => ({ time, ...place, ...event }));
  }

  /** Takes over an event that another process of this host has stamped (bgpd, kubelet), under a sequence number of ours. */
  relay(event: Omit<CalicoEvent, 'host' | 'seq'>): void {
    this.ring.append((place) => ({ ...event, ...place }));
  }

  /** Events with `seq` greater than `afterSeq`, oldest first, and how many of those have been overwritten. */
  read(afterSeq = 0, limit?: number): { readonly events: readonly CalicoEvent[]; readonly lost: number } {
    const { records: events, lost } = this.ring.read(afterSeq, limit);
    return { events, lost };
  }

  /** Calls the follower for each event from now on; returns what ends it. */
  follow(follower: EventFollower): () => void {
    return this.ring.follow(follower);
  }
}
