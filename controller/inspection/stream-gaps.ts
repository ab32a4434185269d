// What the cluster's records do not tell by themselves: hosts that record nothing now, or whose records do not reach the stream, and why.

import { json } from 'node:stream/consumers';
import type { Resource } from '../../lib/model/metadata.ts';
import type { RecordGap } from '../../lib/protocol/record-lines.ts';
import { parseStreamGaps } from '../../lib/protocol/stream-gaps.ts';
import type { AgentClient } from './agent-client.ts';

export interface StreamGapsOptions {
  readonly agents: AgentClient;
  readonly listNodes: () => Promise<readonly Resource[]>;
}

const ANSWER_MS = 2000;

/** Of records of a view. Where they come from the hosts themselves (`source`), whoever asks those says which do not answer. */
export async function streamGaps(
  { agents, listNodes }: StreamGapsOptions,
  view: string,
  source: 'redis' | 'hosts',
  signal: AbortSignal,
): Promise<readonly RecordGap[]> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  const gapsOf = async (node: Resource): Promise<RecordGap[]> => {
    const { name: host } = node.metadata;
    try {
      const gaps = parseStreamGaps(await json(await agents.get(node, '/v1/gaps', inTime)));
      const { unrecorded, unsent } = gaps?.[view] ?? {};
      return [
        ...(unrecorded === undefined ? [] : [{ host, reason: `no ${view} are recorded: ${unrecorded}` }]),
        ...(unsent === undefined || source === 'hosts' ? [] : [{ host, reason: unsent }]),
      ];
    } catch {
      const reason = 'its agent does not answer: what it has not sent to Redis is missing';
      return source === 'hosts' ? [] : [{ host, reason }];
    }
  };
  return (await Promise.all((await listNodes()).map(gapsOf))).flat();
}
