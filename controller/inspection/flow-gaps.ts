// Hosts that record no flows now, and why: what a stream of flow records does not tell by itself.

import { json } from 'node:stream/consumers';
import type { Resource } from '../../lib/model/metadata.ts';
import { parseFlowStatus } from '../../lib/protocol/flow-status.ts';
import type { RecordGap } from '../../lib/protocol/record-lines.ts';
import type { AgentClient } from './agent-client.ts';

export interface FlowGapsOptions {
  readonly agents: AgentClient;
  readonly listNodes: () => Promise<readonly Resource[]>;
}

const ANSWER_MS = 2000;

/** Hosts that do not answer in time are left out: whoever asks them for their records says so. */
export async function flowGaps(
  { agents, listNodes }: FlowGapsOptions,
  signal: AbortSignal,
): Promise<readonly RecordGap[]> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  const gapOf = async (node: Resource): Promise<RecordGap[]> => {
    const { name } = node.metadata;
    try {
      const status = parseFlowStatus(await json(await agents.get(node, '/v1/flow-status', inTime)));
      if (status?.problem === undefined) return [];
      return [{ host: name, reason: `no flows are recorded: ${status.problem}` }];
    } catch {
      return [];
    }
  };
  return (await Promise.all((await listNodes()).map(gapOf))).flat();
}
