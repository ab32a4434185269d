// What an agent says of its node (node API, `/v1/status`; docs/interfaces.md "command line → node").

import { z } from 'zod';
import type { BgpdStatus } from './bgpd-status.ts';

export interface NodeStatus {
  readonly node: string;
  readonly ready: boolean;
  /** Why not, in sentences. */
  readonly reasons: readonly string[];
  readonly uptimeSeconds: number;
  readonly felix: {
    /** etcd revision that the kernel has. */
    readonly revision: number;
    readonly endpoints: number;
    readonly generation: number;
    /** What could not be programmed, in sentences. */
    readonly leftOut: readonly string[];
    readonly lastError: string | null;
  };
  readonly ipam: { readonly blocks: readonly string[] };
  readonly bgp:
    | (BgpdStatus & {
        readonly configurationErrors: readonly string[];
        /** Peers that a change of topology ends are kept, and for what. */
        readonly handover?: string;
      })
    /** bgpd could not be asked. */
    | { readonly error: string };
}

const bgpSchema = z.union([
  z.looseObject({ error: z.string() }),
  z.looseObject({
    configurationErrors: z.array(z.string()),
    handover: z.string().optional(),
    peers: z.array(
      z.looseObject({
        name: z.string(),
        address: z.string(),
        asn: z.number(),
        state: z.string(),
        since: z.string(),
        prefixes: z.looseObject({ accepted: z.number(), advertised: z.number() }),
      }),
    ),
    kernel: z.looseObject({ installed: z.number(), failed: z.array(z.looseObject({})) }),
  }),
]);
const statusSchema = z.looseObject({
  node: z.string(),
  ready: z.boolean(),
  reasons: z.array(z.string()),
  uptimeSeconds: z.number(),
  felix: z.looseObject({
    revision: z.number(),
    endpoints: z.number(),
    generation: z.number(),
    leftOut: z.array(z.string()),
    lastError: z.string().nullable(),
  }),
  ipam: z.looseObject({ blocks: z.array(z.string()) }),
  bgp: bgpSchema,
});

/** Undefined for what an agent of another version says. */
export function parseNodeStatus(value: unknown): NodeStatus | undefined {
  const parsed = statusSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as NodeStatus) : undefined;
}
