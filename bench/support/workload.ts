// A workload as a container runtime makes one: a network namespace, and the agent's CNI plugin called for it.

import { randomBytes } from 'node:crypto';
import type { LabHost } from '../../lab/host.ts';
import { hostPaths } from '../../lib/config/paths.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import { type RunResult, run } from '../../lib/process/run.ts';

const READY_MS = 30_000;
const PAUSE_MS = 100;

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

/** As the kubelet calls it: by its interpreter, straight from a Node process. */
function callPlugin(host: LabHost, variables: Readonly<Record<string, string>>): Promise<RunResult> {
  return run('perl', [hostPaths(host.stateDir).cniPlugin], {
    input: JSON.stringify({ cniVersion: '1.1.0', name: 'k8s-pod-network', type: 'calico' }),
    env: { ...process.env, ...variables },
  });
}

/** The host's agent takes work. Throws what it lacks when that takes too long. */
export async function untilReady(host: LabHost): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const { code, stdout } = await callPlugin(host, { CNI_COMMAND: 'STATUS' });
    if (code === 0) return;
    if (performance.now() > deadline) throw new Error(`${host.name}: ${stdout}`);
    await waitFor(PAUSE_MS);
  }
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
  const { code, stdout } = await callPlugin(host, {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: args,
  });
  const addMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(stdout);
  const { ips } = JSON.parse(stdout) as { ips: { address: string }[] };
  return { netns: id, address: ips[0]?.address.split('/')[0] ?? '', addMs };
}
