// A test's own lab as the cluster of the story's scenes.

import type { Lab } from '../../../lab/lab.ts';
import { LabCluster } from '../../../lab/story/lab-cluster.ts';
import { program } from './programs.ts';

export function labCluster(lab: Lab): LabCluster {
  return new LabCluster({
    stateDir: lab.stateDir,
    etcdctlEnvironment: lab.etcdctlEnvironment,
    kubeconfig: lab.kubeconfig,
    calicoctl: program('cli/main'),
    env: process.env,
    hosts: () => Promise.resolve(lab.hosts()),
    addHost: async (name) => {
      await lab.addHost(name);
    },
    removeHost: (name) => lab.removeHost(name, { how: 'shut-down' }),
  });
}
