// What the kernels have counted of some traffic of late, by the rule that decided: from the nodes' flow records, asked of the
// controller (docs/policy.md "Explaining").

import type { KubeClient } from '../../lib/kube-client/client.ts';
import { type RuleRef, ruleOwnerKey } from '../../lib/policy/compiled.ts';
import type { RuleCount, RuleFacts } from '../../lib/policy/explanation/explanation.ts';
import type { Answer } from '../../lib/policy/question/ask.ts';
import type { FlowDecision, FlowRecord } from '../../lib/protocol/flow-record.ts';
import { FLOW_RECORDS, parseRecordLine, type RecordLine } from '../../lib/protocol/record-lines.ts';

const PATH = '/apis/calico-ts.dev/v1/flows';
/** Records that are asked for: as many as a node's ring has is enough. */
const LAST = '10000';

type MissingLine = Exclude<RecordLine<FlowRecord>, { readonly record: FlowRecord }>;

/** Records of flows between the two addresses of a question, to its port, and what is said of those that are missing. */
export async function recentFlows(
  client: KubeClient,
  { packet }: Answer,
  signal: AbortSignal,
): Promise<{ readonly records: readonly FlowRecord[]; readonly missing: readonly MissingLine[] }> {
  const { source, destination, destinationPort, protocol } = packet;
  const parameters = new URLSearchParams({ last: LAST, src: source, dst: destination });
  if (destinationPort !== undefined) parameters.append('port', String(destinationPort));
  const records: FlowRecord[] = [];
  const missing: MissingLine[] = [];
  for await (const value of client.stream(`${PATH}?${parameters}`, { signal })) {
    const line = parseRecordLine(FLOW_RECORDS, value);
    if (line === undefined) continue;
    if ('record' in line) records.push(line.record);
    else missing.push(line);
  }
  return { records: records.filter((record) => record.protocol === protocol), missing };
}

/** Sums by host and rule, and by host and end of a tier. */
export function countFacts(records: readonly FlowRecord[]): Pick<RuleFacts, 'countOf' | 'countAtEnd'> {
  const counts = new Map<string, RuleCount>();
  for (const { host, decidedBy, packets, bytes } of records) {
    const decider = deciderOf(decidedBy);
    if (decider === undefined) continue;
    const key = `${host} ${decider}`;
    const before = counts.get(key) ?? { packets: 0, bytes: 0 };
    counts.set(key, { packets: before.packets + packets, bytes: (before.bytes ?? 0) + bytes });
  }
  return {
    countOf: (ref, { host }) => counts.get(`${host} ${ruleKey(ref)}`),
    countAtEnd: (tier, direction, { host }) => counts.get(`${host} end ${tier} ${direction}`),
  };
}

function deciderOf(decision: FlowDecision): string | undefined {
  switch (decision.type) {
    case 'rule': {
      const { kind, namespace = '', name, direction, index } = decision;
      return `${kind}/${namespace}/${name} ${direction} ${index}`;
    }
    case 'endOfTier':
      return `end ${decision.tier} ${decision.direction}`;
    case 'reason':
    case 'unknown':
      return undefined;
  }
}

function ruleKey(ref: RuleRef): string {
  return `${ruleOwnerKey(ref)} ${ref.direction} ${ref.index}`;
}
