// Flow records: what was denied, or began, who was at both ends and which policy decided (docs/felix.md "Flow records"). They go from
// agents through the controller to calicoctl, and to the Redis stream `calico:flows`.

import { z } from 'zod';
import type { RulePlace } from '../policy/rule-source.ts';

/** One end of a flow. Without `kind`: nobody that the datastore knows. */
export interface FlowEnd {
  readonly address: string;
  /** Of protocols with ports. Of a record of several connections the source's is the first one's. */
  readonly port?: number;
  readonly kind?: 'WorkloadEndpoint' | 'HostEndpoint' | 'Node' | 'NetworkSet' | 'GlobalNetworkSet';
  readonly namespace?: string;
  /** Of a workload: the pod or container, not the endpoint. */
  readonly name?: string;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface FlowPolicy {
  /** `NetworkPolicy`, `GlobalNetworkPolicy`, `Profile`, or a staged kind. */
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

export type FlowDecision =
  | ({
      readonly type: 'rule';
      readonly direction: string;
      /** From 0, in the policy's list of that direction. */
      readonly index: number;
      readonly action: string;
      readonly tier?: string;
      /** Where a manifest says it, if `calicoctl apply -f` has recorded that. */
      readonly source?: RulePlace;
    } & FlowPolicy)
  /** No rule of the tier decided; `policy` is the last of it that applies, as Calico names it. */
  | {
      readonly type: 'endOfTier';
      readonly tier: string;
      readonly direction: string;
      readonly policy?: FlowPolicy;
    }
  /** No policy: `reason` is a stable word, `text` says it. */
  | { readonly type: 'reason'; readonly reason: string; readonly text: string }
  /** A rule that nobody remembers: of an epoch long gone. */
  | { readonly type: 'unknown'; readonly epoch: number; readonly ruleId: number };

/** A staged policy that would decide, in its tier. */
export interface StagedHit extends FlowPolicy {
  readonly tier: string;
  readonly direction: string;
  /** -1: the tier's end, which the policy would bring. */
  readonly index: number;
  /** `allow`, `deny` or `pass`. */
  readonly action: string;
}

/** What would become of the flow on this host if staged policies were enforced and staged deletions done. */
export interface StagedOutcome {
  readonly verdict: 'allow' | 'deny';
  readonly policies: readonly StagedHit[];
}

/** What an agent makes; its log adds `host` and `seq`. */
export interface FlowInput {
  /** RFC 3339 in UTC with milliseconds: of the last packet. */
  readonly time: string;
  readonly verdict: 'allow' | 'deny';
  /** IANA number. */
  readonly protocol: number;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  readonly icmp?: { readonly type: number; readonly code: number };
  readonly decidedBy: FlowDecision;
  readonly staged?: StagedOutcome;
  /** That differ in their source ports alone; 0: more packets of what an earlier record tells. */
  readonly connections: number;
  /** Of denied flows, and of ended ones, all packets of who began; of flows that begin those that were judged. */
  readonly packets: number;
  readonly bytes: number;
  /** These allowed flows have ended, after so much in answer. An earlier record told that they began. */
  readonly ended?: { readonly packets: number; readonly bytes: number };
  /** An earlier agent of the host may have told of it. */
  readonly repeated?: true;
}

/** `seq` counts from 1 per start of the agent. */
export interface FlowRecord extends FlowInput {
  readonly host: string;
  readonly seq: number;
}

const recordSchema = z.looseObject({
  time: z.string(),
  host: z.string(),
  seq: z.number(),
  verdict: z.enum(['allow', 'deny']),
  protocol: z.number(),
  source: z.looseObject({ address: z.string() }),
  destination: z.looseObject({ address: z.string() }),
  decidedBy: z.looseObject({ type: z.string() }),
  connections: z.number(),
  packets: z.number(),
  bytes: z.number(),
});

/** Undefined for what is no record: whoever sends it may be newer. */
export function parseFlowRecord(value: unknown): FlowRecord | undefined {
  const parsed = recordSchema.safeParse(value);
  return parsed.success ? (parsed.data as unknown as FlowRecord) : undefined;
}
