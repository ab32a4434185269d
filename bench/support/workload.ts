// A workload as a container runtime makes one: a network namespace, and the agent's CNI plugin called for it.

import { randomBytes } from 'node:crypto';
import type { LabHost } from '../../lab/host.ts';
import { hostPaths } from '../../lib/config/paths.ts';
import { run } from '../../lib/process/run.ts';

export interface Workload {
  readonly netns: string;
  readonly address: string;
  /** From the plugin's start to its end. */
  readonly addMs: number;
}

/** A network namespace, as `ip netns` knows it. */
export async function makeNamespace(host: LabHost): Promise<string> {
  const name = randomBytes(8).toString('hex');
  await host.execOk(['ip', 'netns', 'add', name]);
  return name;
}

/** `pod`: namespace and name, of a pod that the API has; a plain container without. Throws what the plugin said. */
export async function addWorkload(
  host: LabHost,
  pod?: { readonly namespace: string; readonly name: string },
  netns?: string,
): Promise<Workload> {
  const id = netns ?? (await makeNamespace(host));
  const args = pod === undefined ? '' : `K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name}`;
  const startedAt = performance.now();
  // As the kubelet calls it: by its interpreter, straight from a Node process.
  const { code, stdout } = await run('perl', [hostPaths(host.stateDir).cniPlugin], {
    input: JSON.stringify({ cniVersion: '1.0.0', name: 'k8s-pod-network', type: 'calico' }),
    env: {
      ...process.env,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: args,
    },
  });
  const addMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(stdout);
  const { ips } = JSON.parse(stdout) as { ips: { address: string }[] };
  return { netns: id, address: ips[0]?.address.split('/')[0] ?? '', addMs };
}
