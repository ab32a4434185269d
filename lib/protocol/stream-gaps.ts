// What of a node's events and flow records is nowhere, or not in the cluster's streams: the node API's `/v1/gaps`.

import { z } from 'zod';

const gapSchema = z.looseObject({
  /** Why nothing is recorded now. */
  unrecorded: z.string().optional(),
  /** Why what is recorded is not in the stream. */
  unsent: z.string().optional(),
});
export type StreamGap = z.infer<typeof gapSchema>;

const gapsSchema = z.record(z.string(), gapSchema);
/** By view (`RecordKind.view`). */
export type StreamGaps = z.infer<typeof gapsSchema>;

/** Undefined for what is no such answer. */
export function parseStreamGaps(value: unknown): StreamGaps | undefined {
  const parsed = gapsSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
