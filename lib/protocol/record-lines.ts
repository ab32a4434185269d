// Lines of JSON that carry a host's events or flow records between processes: agent → controller → calicoctl (docs/interfaces.md
// "Events"). On the wire a record stands under the name of its kind: `{"event": …}`, `{"flow": …}`.

import { z } from 'zod';
import type { CalicoEvent } from '../events/event.ts';
import type { RingRecord } from '../events/record-ring.ts';
import { EVENT_TARGET, FLOW_TARGET, type StreamTarget } from '../events/stream-target.ts';
import { type FlowRecord, parseFlowRecord } from './flow-record.ts';

/** What is missing: records that were overwritten before they could be told, or a host that does not answer. */
export interface RecordGap {
  readonly host: string;
  readonly count?: number | undefined;
  readonly reason?: string | undefined;
}

/** Where the cluster's records come from, and why not from the stream. */
interface SourceLine {
  readonly source: 'redis' | 'hosts';
  readonly reason?: string | undefined;
}

export type RecordLine<T> = { readonly record: T } | { readonly gap: RecordGap } | SourceLine;

/** A kind of records: where they are, and what one looks like. */
export interface RecordKind<T extends RingRecord> extends StreamTarget {
  /** Of the node API and of the controller. */
  readonly view: string;
  /** Undefined for what is none: whoever sends it may be newer. */
  readonly parse: (value: unknown) => T | undefined;
}

const eventSchema = z.looseObject({
  time: z.string(),
  host: z.string(),
  seq: z.number(),
  component: z.string(),
  kind: z.string(),
});

export const EVENT_RECORDS: RecordKind<CalicoEvent> = {
  ...EVENT_TARGET,
  view: 'events',
  parse: (value) => {
    const parsed = eventSchema.safeParse(value);
    return parsed.success ? (parsed.data as unknown as CalicoEvent) : undefined;
  },
};
export const FLOW_RECORDS: RecordKind<FlowRecord> = { ...FLOW_TARGET, view: 'flows', parse: parseFlowRecord };

const gapSchema = z.object({ host: z.string(), count: z.number().optional(), reason: z.string().optional() });
const otherSchema = z.union([
  z.object({ gap: gapSchema }),
  z.object({ source: z.enum(['redis', 'hosts']), reason: z.string().optional() }),
]);

/** Undefined for what is no such line. */
export function parseRecordLine<T extends RingRecord>(
  kind: RecordKind<T>,
  value: unknown,
): RecordLine<T> | undefined {
  const record =
    typeof value === 'object' && value !== null
      ? kind.parse((value as Record<string, unknown>)[kind.field])
      : undefined;
  if (record !== undefined) return { record };
  const parsed = otherSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** The line as a value for JSON. */
export function encodeRecordLine<T extends RingRecord>(kind: RecordKind<T>, line: RecordLine<T>): object {
  return 'record' in line ? { [kind.field]: line.record } : line;
}

/** By time, then host and sequence number: the order in which records of several hosts are shown. */
export function compareRecords(a: RingRecord, b: RingRecord): number {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.seq - b.seq;
}
