// Lines of JSON that carry events between processes (record-lines.ts), as whoever reads nothing but events has them.

import type { CalicoEvent } from '../events/event.ts';
import { EVENT_RECORDS, parseRecordLine, type RecordLine } from './record-lines.ts';

export type EventLine =
  | { readonly event: CalicoEvent }
  | Exclude<RecordLine<CalicoEvent>, { readonly record: CalicoEvent }>;

/** Undefined for what is no such line: whoever sends it may be newer. */
export function parseEventLine(value: unknown): EventLine | undefined {
  const line = parseRecordLine(EVENT_RECORDS, value);
  return line !== undefined && 'record' in line ? { event: line.record } : line;
}
