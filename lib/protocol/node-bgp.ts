// What agents pass on of their bgpd (node API, `/v1/rib`, `/v1/why`, `/v1/history`; docs/interfaces.md "command line → node").

import { z } from 'zod';
import type { BgpdRib } from './bgpd-client.ts';
import type { BgpdWhy } from './bgpd-routes.ts';
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
export function parseNodeWhy(value: unknown): readonly BgpdWhy[] | undefined {
  const parsed = whySchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as readonly BgpdWhy[]) : undefined;
}

/** Undefined for what an agent of another version says. */
export function parseNodeHistory(value: unknown): BgpdHistory | undefined {
  const parsed = historySchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as BgpdHistory) : undefined;
}
