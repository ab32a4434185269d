// Which program is our own CNI plugin: the one that the agent has put beside its socket, where there is Perl to run it; else
// Node's, which takes a tenth of a second longer to start.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { hostPaths } from '../../../lib/config/paths.ts';

/** By way of its interpreter: /run may forbid programs. */
export function ownPluginCommand(cniSocket: string, nodePlugin: string): readonly [string, ...string[]] {
  const { cniPlugin } = hostPaths(dirname(cniSocket));
  return existsSync(cniPlugin) ? ['perl', cniPlugin] : [process.execPath, nodePlugin];
}
