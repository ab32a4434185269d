// Felix's end on a host: its table, and its accepts in chains of others. From here on nothing polices what workloads send.

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { foreignRules } from './render/foreign-rules.ts';
import { acceptRemovals } from './render/forward-accepts.ts';
import { TABLE } from './render/layout.ts';

/** All in one transaction. What somebody has taken away meanwhile is refused, as KernelWriteError: do it again. */
export async function removeRules(writer: Pick<KernelWriterClient, 'nft' | 'nftQuery'>): Promise<void> {
  const removals = acceptRemovals(foreignRules(await writer.nftQuery('list ruleset', 'terseJson'), []));
  const commands = [`add table ${TABLE}`, `delete table ${TABLE}`, ...removals.map(({ text }) => text)];
  await writer.nft(`${commands.join('\n')}\n`);
}
