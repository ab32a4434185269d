// A test's own lab as the cluster of the story's scenes.

import { join } from 'node:path';
import type { Lab } from '../../../lab/lab.ts';
import { LabCluster } from '../../../lab/story/lab-cluster.ts';
import { PACKAGE_ROOT } from './test-lab.ts';

export function labCluster(lab: Lab): LabCluster {
  return new LabCluster({
    stateDir: lab.stateDir,
    etcdctlEnvironment: lab.etcdctlEnvironment,
    kubeconfig: lab.kubeconfig,
    calicoctl: [process.execPath, join(PACKAGE_ROOT, 'cli/main.ts')],
    env: process.env,
    hosts: () => Promise.resolve(lab.hosts()),
    addHost: async (name) => {
      await lab.addHost(name);
    },
    removeHost: (name) => lab.removeHost(name, { how: 'shut-down' }),
  });
}
