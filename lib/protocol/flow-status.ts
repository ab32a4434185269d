// How a node's flow records stand: what it has told, what it could not tell, what staged policies would have done. Counted since the
// agent's start.

import { z } from 'zod';

const statusSchema = z.looseObject({
  /** Why nothing is recorded now. */
  problem: z.string().optional(),
  records: z.number(),
  overwritten: z.number(),
  totals: z.object({
    denied: z.number(),
    allowed: z.number(),
    suppressed: z.number(),
    overflowedDenied: z.number(),
    overflowedBegun: z.number(),
    withoutRoute: z.number(),
    /** Readings in which ends of allowed flows were lost. */
    lostEnds: z.number(),
    failedReadings: z.number(),
  }),
  staged: z.object({
    wouldBecome: z.object({ allow: z.number(), deny: z.number() }),
    uncounted: z.number(),
    policies: z.array(
      z.object({
        kind: z.string(),
        namespace: z.string().optional(),
        name: z.string(),
        tier: z.string(),
        direction: z.string(),
        /** From 0; -1: the tier's end. */
        index: z.number(),
        action: z.string(),
        connections: z.number(),
      }),
    ),
  }),
});
export type FlowStatus = z.infer<typeof statusSchema>;

export function parseFlowStatus(value: unknown): FlowStatus | undefined {
  const parsed = statusSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
