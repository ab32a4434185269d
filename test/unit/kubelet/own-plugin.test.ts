// The kubelet takes the plugin that the agent has put beside its socket, as soon as it is there.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { installRelay } from '../../../agents/cni/relay-script.ts';
import { ownPluginCommand } from '../../../agents/kubelet/pods/own-plugin.ts';
import { hostPaths } from '../../../lib/config/paths.ts';

it('takes the agent’s plugin from the moment it is there, and Node’s until then', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ct-own-plugin-'));
  try {
    const { cniSocket, cniPlugin } = hostPaths(folder);
    expect(ownPluginCommand(cniSocket, '/main.js')).toEqual([process.execPath, '/main.js']);
    await installRelay(cniPlugin, cniSocket);
    expect(ownPluginCommand(cniSocket, '/main.js')).toEqual(['perl', cniPlugin]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
