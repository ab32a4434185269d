// Felix's end on a host: its table, and its accepts in chains of others. From here on nothing polices what workloads send.

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { foreignRules, OWN_COMMENT } from './render/foreign-rules.ts';
import { acceptRemovals } from './render/forward-accepts.ts';
import { TABLE, TABLE_NAME } from './render/layout.ts';

/** All in one transaction. What somebody has taken away meanwhile is refused, as KernelWriteError: do it again. */
export async function removeRules(writer: Pick<KernelWriterClient, 'nft' | 'othersRuleset'>): Promise<void> {
  const ruleset = await writer.othersRuleset(TABLE_NAME, OWN_COMMENT);
  const removals = acceptRemovals(foreignRules(ruleset, []));
  const commands = [`add table ${TABLE}`, `delete table ${TABLE}`, ...removals.map(({ text }) => text)];
  await writer.nft(`${commands.join('\n')}\n`);
}
