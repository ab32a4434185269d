// A round of packets through the bed: all are sent, and each is waited for until it has either arrived or been counted as denied.

import type { FuzzPacket } from '../../../support/policy-fuzz/packets.ts';
import { type FlowPart, rawPacket } from '../../../support/policy-fuzz/raw-packet.ts';
import type { FuzzBed } from './fuzz-bed.ts';
import { type DenialRecord, denialRecords } from './kernel-records.ts';

export interface SentPacket {
  readonly packet: FuzzPacket;
  readonly part: FlowPart;
  /** On the wire, never twice in a run. */
  readonly id: number;
  /** That of the flow's first packet. */
  readonly flow: number;
}

/** Hits of the kernel's records of denials by host and record (`id source destination protocol port detail`). */
export type DenialHits = ReadonlyMap<string, ReadonlyMap<string, number>>;

export interface RoundResult {
  /** Name of the end by id. */
  readonly arrivedAt: ReadonlyMap<number, string>;
  readonly denials: DenialHits;
  /** Ids that the sender's kernel refused to send. */
  readonly unsent: ReadonlySet<number>;
}

/** The kernel may have forgotten a record while the packets went: nothing can be said of them, and they have to go once more. */
export class UncertainRecords extends Error {}

/** How long a packet may take until its kernel has delivered or counted it; far more than ever seen. */
const DEADLINE_MS = 3_000;
/** Of what the kernel says of a record's time to live, in whole seconds. */
const CLOCK_SLACK_MS = 2_000;

/** Throws UncertainRecords. */
export async function sendRound(bed: FuzzBed, sent: readonly SentPacket[]): Promise<RoundResult> {
  const ids = new Set(sent.map(({ id }) => id));
  const arrivedAt = new Map<number, string>();
  const drain = (): void => {
    for (const [name, end] of bed.ends)
      for (const id of end.received()) if (ids.has(id)) arrivedAt.set(id, name);
  };
  const before = await recordsOf(bed);
  const startedAt = performance.now();
  const unsent = new Set(sent.filter((each) => !send(bed, each)).map(({ id }) => id));
  for (;;) {
    drain();
    const now = await recordsOf(bed);
    const elapsedMs = performance.now() - startedAt;
    const denials = new Map(
      [...now].map(([host, records]) => [host, hitsSince(before.get(host) ?? new Map(), records, elapsedMs)]),
    );
    drain();
    const accounted = arrivedAt.size + countOf(denials) + unsent.size;
    if (accounted >= sent.length || elapsedMs > DEADLINE_MS) return { arrivedAt, denials, unsent };
  }
}

function send(bed: FuzzBed, { packet, part, id, flow }: SentPacket): boolean {
  const [from, destination] =
    part === 'reply' ? [packet.to, packet.source] : [packet.from, packet.destination];
  const end = bed.ends.get(from);
  if (end === undefined) throw new Error(`no end ${from}`);
  return end.send(rawPacket(packet, id, flow, part), destination);
}

type Records = ReadonlyMap<string, DenialRecord>;

async function recordsOf(bed: FuzzBed): Promise<ReadonlyMap<string, Records>> {
  return new Map(
    await Promise.all([...bed.hosts].map(async ([name, host]) => [name, await denialRecords(host)] as const)),
  );
}

/** How often each record was hit. One that is not hit for a minute is forgotten: a count that is lower began anew. */
function hitsSince(before: Records, now: Records, elapsedMs: number): ReadonlyMap<string, number> {
  const hits = new Map<string, number>();
  for (const [record, { packets, expires }] of now) {
    const known = before.get(record);
    if (known === undefined) {
      hits.set(record, packets);
      continue;
    }
    const isHit = packets !== known.packets || expires > known.expires;
    if (!isHit) continue;
    const mayHaveGone = known.expires * 1_000 < elapsedMs + CLOCK_SLACK_MS;
    if (mayHaveGone && packets > known.packets) throw new UncertainRecords(record);
    hits.set(record, packets > known.packets ? packets - known.packets : packets);
  }
  return hits;
}

function countOf(denials: DenialHits): number {
  return [...denials.values()].flatMap((hits) => [...hits.values()]).reduce((sum, count) => sum + count, 0);
}
