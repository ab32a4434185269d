// Puts events of many hosts into one order as far as a short wait can: each is held for a moment, then told by its time.

import type { CalicoEvent } from '../../lib/events/event.ts';
import { compareEvents } from '../../lib/protocol/event-lines.ts';

/** Longer than events usually take from a host to here. */
const HOLD_MS = 200;
/** More than this are told at once. */
const MAX_HELD = 10_000;

export class OrderedEvents {
  readonly #tell: (event: CalicoEvent) => void;
  #held: CalicoEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (event: CalicoEvent) => void) {
    this.#tell = tell;
  }

  add(event: CalicoEvent): void {
    this.#held.push(event);
    if (this.#held.length >= MAX_HELD) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), HOLD_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#held.sort(compareEvents);
    this.#held = [];
    for (const event of events) this.#tell(event);
  }

  /** What is still held is not told any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#held = [];
  }
}
