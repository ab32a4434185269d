// What the cluster's records do not tell by themselves: hosts that record nothing now, or whose records do not reach the stream, and why.

import { json } from 'node:stream/consumers';
import type { Resource } from '../../lib/model/metadata.ts';
import type { RecordGap } from '../../lib/protocol/record-lines.ts';
import { parseStreamGaps } from '../../lib/protocol/stream-gaps.ts';
import type { AgentClient } from './agent-client.ts';

export interface StreamGapsOptions {
  /** The controller's own records, if it has any: its name is no node's. */
  readonly own: { readonly host: string } | undefined;
  readonly agents: AgentClient;
  readonly listNodes: () => Promise<readonly Resource[]>;
}

export interface GapQuery {
  /** Of which kind of records (`RecordKind.view`). */
  readonly view: string;
  /** Where the records come from: hosts that are asked themselves are told of by whoever asks them. */
  readonly source: 'redis' | 'hosts';
  /** Of these hosts; of all if left out. */
  readonly hosts?: readonly string[] | undefined;
}

const ANSWER_MS = 2000;

/** Never rejects: what cannot be learnt is a gap, too. */
export async function streamGaps(
  { agents, listNodes, own }: StreamGapsOptions,
  { view, source, hosts }: GapQuery,
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
    } catch (error) {
      const why = inTime.aborted ? `its agent says nothing within ${ANSWER_MS / 1000} s` : wordsOf(error);
      return source === 'hosts' ? [] : [{ host, reason: `${why}; what it has not sent to Redis is missing` }];
    }
  };
  try {
    const nodes = await Promise.race([listNodes(), rejectionOf(inTime)]);
    const isThere = (host: string): boolean =>
      host === own?.host || nodes.some(({ metadata }) => metadata.name === host);
    const unknown = (hosts ?? []).filter((host) => !isThere(host));
    const wanted = nodes.filter(({ metadata }) => hosts?.includes(metadata.name) !== false);
    return [
      ...(await Promise.all(wanted.map(gapsOf))).flat(),
      ...unknown.map((host) => ({ host, reason: 'there is no such node' })),
    ];
  } catch (error) {
    return [{ host: 'etcd', reason: `which nodes there are is not known: ${wordsOf(error)}` }];
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true }),
  );
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
