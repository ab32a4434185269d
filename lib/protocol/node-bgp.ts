// What agents pass on of their bgpd (node API, `/v1/rib`, `/v1/rib-in`, `/v1/rib-out`, `/v1/why`, `/v1/history`;
// docs/interfaces.md "command line → node").

import { z } from 'zod';
import type { BgpdRib } from './bgpd-client.ts';
import type { BgpdReceivedPath, BgpdSentPath, BgpdWhy } from './bgpd-routes.ts';
import type { BgpdHistory } from './bgpd-status.ts';

// As much as is needed to show them: an agent of another version may say more.
const attributes = {
  nextHop: z.string(),
  asPath: z.string(),
  origin: z.string(),
  communities: z.array(z.string()),
};
const path = z.looseObject({ ...attributes, source: z.string(), verdict: z.string(), stale: z.boolean() });
const ribSchema = z.looseObject({
  destinations: z.array(
    z.looseObject({ prefix: z.string(), paths: z.array(path), advertisedTo: z.array(z.string()) }),
  ),
  total: z.number(),
});
const receivedSchema = z.array(
  z.looseObject({
    prefix: z.string(),
    received: z.looseObject(attributes),
    accepted: z.looseObject(attributes).optional(),
    verdict: z.string(),
    stale: z.boolean(),
  }),
);
const sentSchema = z.array(z.looseObject({ prefix: z.string(), attributes: z.looseObject(attributes) }));
const whySchema = z.array(
  z.looseObject({
    prefix: z.string(),
    isExact: z.boolean(),
    paths: z.array(z.looseObject({ ...path.shape, why: z.string() })),
    kernel: z.looseObject({ state: z.string(), nextHops: z.array(z.string()), why: z.string() }),
    advertised: z.array(
      z.looseObject({ peer: z.string(), sent: z.array(z.looseObject(attributes)), why: z.string() }),
    ),
  }),
);
const historySchema = z.looseObject({
  peer: z.string(),
  entries: z.array(z.looseObject({ time: z.string(), kind: z.enum(['state', 'reason']) })),
  malformed: z.array(z.looseObject({ time: z.string(), reason: z.string() })),
});

/** Undefined for what an agent of another version says. */
export function parseNodeRib(value: unknown): BgpdRib | undefined {
  const parsed = ribSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as BgpdRib) : undefined;
}

/** Undefined for what an agent of another version says. */
export function parseNodeRibIn(value: unknown): readonly BgpdReceivedPath[] | undefined {
  const parsed = receivedSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as readonly BgpdReceivedPath[]) : undefined;
}

/** Undefined for what an agent of another version says. */
export function parseNodeRibOut(value: unknown): readonly BgpdSentPath[] | undefined {
  const parsed = sentSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as readonly BgpdSentPath[]) : undefined;
}

/** Undefined for what an agent of another version says. */
export function parseNodeWhy(value: unknown): readonly BgpdWhy[] | undefined {
  const parsed = whySchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as readonly BgpdWhy[]) : undefined;
}

/** Undefined for what an agent of another version says. */
export function parseNodeHistory(value: unknown): BgpdHistory | undefined {
  const parsed = historySchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as BgpdHistory) : undefined;
}
