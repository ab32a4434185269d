// What has happened to the sessions with one peer: a ring of transitions and reasons, and the last malformed messages
// whole. Failures that repeat are one entry with a count, so that a peer that is away for long does not push out the rest.

import type { BgpdReason } from '../../../lib/protocol/bgpd-status.ts';
import type { StateName } from '../fsm/fsm.ts';

export type HistoryEntry = {
  readonly seq: number;
  readonly time: Date;
} & (
  | { readonly kind: 'state'; readonly from: StateName; readonly to: StateName }
  | {
      readonly kind: 'reason';
      readonly reason: BgpdReason;
      /** How often in a row, the last time at `lastTime`. */
      count: number;
      lastTime: Date;
    }
);

export interface MalformedMessage {
  readonly time: Date;
  readonly reason: string;
  /** From the header on; cut where the message was too long to be kept. */
  readonly octets: Uint8Array;
}

const MAX_TRANSITIONS = 50;
const MAX_REASONS = 50;
const MAX_MALFORMED = 5;
/** A peer that sends more than those in this time is not to cost a copy each. */
const MALFORMED_MS = 1000;
/** An extended message is kept whole. */
const MAX_KEPT_OCTETS = 65_535;

export class PeerHistory {
  readonly #transitions: Extract<HistoryEntry, { kind: 'state' }>[] = [];
  readonly #reasons: Extract<HistoryEntry, { kind: 'reason' }>[] = [];
  readonly #malformed: MalformedMessage[] = [];
  #seq = 0;

  /** In the order of their numbers, oldest first. */
  get entries(): readonly HistoryEntry[] {
    return [...this.#transitions, ...this.#reasons].sort((a, b) => a.seq - b.seq);
  }

  get malformedMessages(): readonly MalformedMessage[] {
    return this.#malformed;
  }

  /** Trying to connect is no news: only what comes of it is kept. */
  stateChanged(from: StateName, to: StateName, time: Date): void {
    if (isTrying(from) && isTrying(to)) return;
    this.#transitions.push({ seq: ++this.#seq, time, kind: 'state', from, to });
    if (this.#transitions.length > MAX_TRANSITIONS) this.#transitions.shift();
  }

  failed(reason: BgpdReason, time: Date): void {
    const last = this.#reasons.at(-1);
    if (last !== undefined && isSame(last.reason, reason)) {
      last.count++;
      last.lastTime = time;
      return;
    }
    this.#reasons.push({ seq: ++this.#seq, time, kind: 'reason', reason, count: 1, lastTime: time });
    if (this.#reasons.length > MAX_REASONS) this.#reasons.shift();
  }

  /** Of those that cost no session the first few of a second are kept. */
  malformed(octets: Uint8Array, reason: string, time: Date, { endsSession }: { endsSession: boolean }): void {
    const [oldest] = this.#malformed;
    const isFull = oldest !== undefined && this.#malformed.length >= MAX_MALFORMED;
    if (isFull && !endsSession && time.getTime() - oldest.time.getTime() < MALFORMED_MS) return;
    this.#malformed.push({ time, reason, octets: octets.slice(0, MAX_KEPT_OCTETS) });
    if (this.#malformed.length > MAX_MALFORMED) this.#malformed.shift();
  }
}

function isTrying(state: StateName): boolean {
  return state === 'Idle' || state === 'Connect' || state === 'Active';
}

function isSame(one: BgpdReason, other: BgpdReason): boolean {
  return one.direction === other.direction && one.sentence === other.sentence && one.hex === other.hex;
}
