// From one reading of the kernel's counters to the next: what was denied, or began, since. Counters are never reset, as that would
// take the lock of whoever writes policy. What comes of one reading has a limit, for each source too, so that in what is told
// nobody drowns the others; what is beyond it is counted. The kernel's sets are shared: who fills them costs all their records. Pure.

import type { CountingElement, Counts } from '../kernel/netlink/nftables-messages.ts';
import { BuiltInReason } from '../nftables/render/numbering.ts';
import { COUNTED_FOR_MS, type CountingSet, decodeFlowKey, type FlowKey } from './counted-flow.ts';

/** Flows of one reading that differ in nothing but their source ports. */
export interface CountedFlow extends FlowKey {
  /** Of them, those that were not seen before: none if these are more packets of what was told. */
  readonly connections: number;
  readonly packets: number;
  readonly bytes: number;
  /** Of flows that have ended. */
  readonly replyPackets?: number;
  readonly replyBytes?: number;
  /** Milliseconds since the last packet. */
  readonly ageMs: number;
  /** Found at the first reading after a start: an earlier agent may have told of it. */
  readonly isRepeated: boolean;
}

export interface FlowReading {
  readonly flows: readonly CountedFlow[];
  /** Connections that were seen, but beyond what one reading tells. */
  readonly suppressed: number;
  /** Packets for which the kernel's sets had no room: verdicts stand, and no more is known of them. */
  readonly overflowed: { readonly denied: number; readonly begun: number };
  /** Ends of flows were lost, as more came than the socket's buffer holds. */
  readonly hasLostEnds: boolean;
  /** Packets since the last reading for which the kernel had no route: they come to no rule. */
  readonly withoutRoute: number;
}

export interface ReadingLimits {
  readonly flows: number;
  readonly flowsPerSource: number;
}
const DEFAULT_LIMITS: ReadingLimits = { flows: 1_000, flowsPerSource: 100 };
/** Whose source is what the sender has chosen: all of them together have the limit of one. */
const FORGED: readonly number[] = [BuiltInReason.spoofedSource, BuiltInReason.spoofedFromOutside];
/** A dump beside a change may pass over an element: only one that is missing twice is gone. */
const READINGS_MISSING = 2;

interface Known extends Counts {
  seenAt: number;
}

type Draft = { -readonly [Name in keyof CountedFlow]: CountedFlow[Name] };

export class FlowDeltas {
  readonly #limits: ReadingLimits;
  /** By set and key. */
  readonly #known = new Map<string, Map<string, Known>>();
  readonly #counters = new Map<string, number>();
  #reading = 0;

  constructor(limits: ReadingLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Begins a reading. */
  begin(): ReadingBuilder {
    this.#reading++;
    return new ReadingBuilder(this.#limits);
  }

  /** One element of a set of an epoch. */
  add(
    builder: ReadingBuilder,
    set: CountingSet,
    epoch: number,
    element: CountingElement,
    isRepeated: boolean,
  ): void {
    const name = `${set}_${epoch}`;
    let known = this.#known.get(name);
    if (known === undefined) {
      known = new Map();
      this.#known.set(name, known);
    }
    const text = element.key.toString('latin1');
    const before = known.get(text);
    known.set(text, { packets: element.packets, bytes: element.bytes, seenAt: this.#reading });
    // Fewer than before: it expired, and came again.
    const isNew = before === undefined || element.packets < before.packets;
    const packets = element.packets - (isNew ? 0 : before.packets);
    if (packets === 0) return;
    const key = decodeFlowKey(set, epoch, element.key);
    if (key === undefined) return;
    builder.add(key, {
      packets,
      bytes: element.bytes - (isNew ? 0 : before.bytes),
      connections: isNew ? 1 : 0,
      ageMs: Math.max(0, COUNTED_FOR_MS - element.expiresInMs),
      isRepeated,
    });
  }

  /** What a counter of the kernel has gained since the last reading; nothing of what it had at the first if `isRepeated`. */
  gain(name: string, value: number, isRepeated: boolean): number {
    const before = this.#counters.get(name);
    this.#counters.set(name, value);
    if (before === undefined) return isRepeated ? 0 : value;
    return value < before ? value : value - before;
  }

  /** Ends a reading: forgets elements and epochs that are gone. */
  end(epochs: readonly number[]): void {
    for (const [name, known] of this.#known) {
      for (const [key, { seenAt }] of known)
        if (this.#reading - seenAt >= READINGS_MISSING) known.delete(key);
      if (known.size === 0) this.#known.delete(name);
    }
    const suffixes = epochs.map((epoch) => `_v${epoch}`);
    for (const name of this.#counters.keys())
      if (/_v\d+$/.test(name) && !suffixes.some((suffix) => name.endsWith(suffix)))
        this.#counters.delete(name);
  }
}

/** Gathers one reading's flows within the limits. */
export class ReadingBuilder {
  readonly #limits: ReadingLimits;
  readonly #flows = new Map<string, Draft>();
  readonly #perSource = new Map<string, number>();
  #suppressed = 0;

  constructor(limits: ReadingLimits) {
    this.#limits = limits;
  }

  get flows(): readonly CountedFlow[] {
    return [...this.#flows.values()];
  }

  get suppressed(): number {
    return this.#suppressed;
  }

  add(key: FlowKey, counts: Omit<CountedFlow, keyof FlowKey>): void {
    const { sourcePort: _port, ...others } = key;
    const text = JSON.stringify([others, counts.isRepeated]);
    const known = this.#flows.get(text);
    if (known !== undefined) {
      known.connections += counts.connections;
      known.packets += counts.packets;
      known.bytes += counts.bytes;
      if (counts.replyPackets !== undefined)
        known.replyPackets = (known.replyPackets ?? 0) + counts.replyPackets;
      if (counts.replyBytes !== undefined) known.replyBytes = (known.replyBytes ?? 0) + counts.replyBytes;
      known.ageMs = Math.min(known.ageMs, counts.ageMs);
      return;
    }
    const source = FORGED.includes(key.ruleId) && !key.isAllowed ? 'forged' : key.source;
    const ofSource = this.#perSource.get(source) ?? 0;
    if (this.#flows.size >= this.#limits.flows || ofSource >= this.#limits.flowsPerSource) {
      this.#suppressed += counts.connections;
      return;
    }
    this.#perSource.set(source, ofSource + 1);
    this.#flows.set(text, { ...key, ...counts });
  }
}
