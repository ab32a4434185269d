// Debian's bridge plugin with host-local, called as a runtime calls it: straight from a Node process in the host's namespace.

import { join } from 'node:path';
import type { LabHost } from '../../lab/host.ts';
import { run } from '../../lib/process/run.ts';
import { within } from './syscalls.ts';
import { makeNamespace, type Workload } from './workload.ts';

const PLUGINS = '/usr/lib/cni';
const BRIDGE = 'bench0';

/** The bridge itself, and so the gateway of its pods. */
export const BRIDGE_GATEWAY = '10.99.0.1';

export async function addToBridge(host: LabHost, netns?: string): Promise<Workload> {
  const id = netns ?? (await makeNamespace(host));
  const network = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'bridge',
    bridge: BRIDGE,
    isGateway: true,
    ipam: {
      type: 'host-local',
      dataDir: join(host.stateDir, 'host-local'),
      ranges: [[{ subnet: '10.99.0.0/16', gateway: BRIDGE_GATEWAY }]],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  };
  const startedAt = performance.now();
  // A child is in the namespace that its parent's thread is in when it is made.
  const added = within(host.netns, () =>
    run(join(PLUGINS, 'bridge'), [], {
      input: JSON.stringify(network),
      env: {
        ...process.env,
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${id}`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: PLUGINS,
      },
    }),
  );
  const { code, stdout } = await added;
  const addMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(stdout);
  const { ips } = JSON.parse(stdout) as { ips: { address: string }[] };
  return { netns: id, address: ips[0]?.address.split('/')[0] ?? '', addMs };
}
