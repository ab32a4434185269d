// Lines of JSON that carry events between processes: agent → controller → calicoctl (docs/interfaces.md "Events").

import { z } from 'zod';
import type { CalicoEvent } from '../events/event.ts';

/** What is missing: events that were overwritten before they could be told, or a host that does not answer. */
export interface EventGap {
  readonly host: string;
  readonly count?: number | undefined;
  readonly reason?: string | undefined;
}

export type EventLine =
  | { readonly event: CalicoEvent }
  | { readonly gap: EventGap }
  /** First line of the cluster's events: where they come from, and why not from the stream. */
  | { readonly source: 'redis' | 'hosts'; readonly reason?: string | undefined };

const eventSchema = z.looseObject({
  time: z.string(),
  host: z.string(),
  seq: z.number(),
  component: z.string(),
  kind: z.string(),
});
const gapSchema = z.object({ host: z.string(), count: z.number().optional(), reason: z.string().optional() });
const lineSchema = z.union([
  z.object({ event: eventSchema }),
  z.object({ gap: gapSchema }),
  z.object({ source: z.enum(['redis', 'hosts']), reason: z.string().optional() }),
]);

/** Undefined for what is no such line: whoever sends it may be newer. */
export function parseEventLine(value: unknown): EventLine | undefined {
  const parsed = lineSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as EventLine) : undefined;
}

/** By time, then host and sequence number: the order in which events of several hosts are shown. */
export function compareEvents(a: CalicoEvent, b: CalicoEvent): number {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.seq - b.seq;
}
