// Which endpoints the kernel refuses: halved, asking it without changing anything, until they are known (docs/dataplane.md "Driver").

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import type { DataplaneState } from './render/dataplane-state.ts';
import { renderTransaction } from './render/operations.ts';
import { Planner } from './render/plan.ts';
import { Renderer } from './render/renderer.ts';
import { NftTable } from './render/table.ts';

export interface FaultyEndpoint {
  readonly key: string;
  /** What the kernel says of it. */
  readonly why: string;
}

/**
 * Those of `candidates`, keys of endpoints, that the kernel refuses. Asked under the names of an epoch that is not in the kernel.
 * Undefined where the table without any endpoint is refused too: the fault is in what all share then, and leaving endpoints out
 * cannot help.
 */
export async function faultyEndpoints(
  writer: Pick<KernelWriterClient, 'checkNft'>,
  state: DataplaneState,
  candidates: readonly string[],
  epoch: number,
): Promise<readonly FaultyEndpoint[] | undefined> {
  const known = [...state.endpoints.keys(), ...state.hostEndpoints.keys()];
  const refuses = async (keys: readonly string[]): Promise<string | undefined> => {
    const leftOut = new Set(known.filter((key) => !keys.includes(key)));
    const renderer = new Renderer(state, { epoch, generation: 1, leftOut });
    renderer.update(state.everything());
    const planner = new Planner(new NftTable(), { operationsPerTransaction: Number.MAX_SAFE_INTEGER });
    planner.note(renderer.table.takeTouched());
    const { transactions } = planner.plan(renderer.table, 0);
    const operations = transactions.flatMap((transaction) => transaction.operations);
    return await writer.checkNft(renderTransaction(operations));
  };
  if ((await refuses([])) !== undefined) return undefined;
  return await faultyOf(candidates, refuses);
}

async function faultyOf(
  keys: readonly string[],
  refuses: (keys: readonly string[]) => Promise<string | undefined>,
): Promise<readonly FaultyEndpoint[]> {
  const why = keys.length === 0 ? undefined : await refuses(keys);
  if (why === undefined) return [];
  const [only] = keys;
  if (keys.length === 1 && only !== undefined) return [{ key: only, why }];
  const middle = Math.ceil(keys.length / 2);
  return [
    ...(await faultyOf(keys.slice(0, middle), refuses)),
    ...(await faultyOf(keys.slice(middle), refuses)),
  ];
}
