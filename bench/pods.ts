// Pod ADD to first policed packet, beside Debian's bridge plugin with host-local, by turns: the benchmark plays the kubelet for
// pods that the API holds, the plugin's guard and a policy on the answering side included. The bridge has neither: its pods
// ask their gateway.
//   node scripts/bootstrap.js packages bench
//   node scripts/build.ts && node scripts/inside.ts node bench/pods.ts [pods]

import type { LabHost } from '../lab/host.ts';
import { NETWORK_POLICIES, PODS } from '../lib/kube-client/client.ts';
import type { Resource } from '../lib/model/metadata.ts';
import { addTimes } from './support/add-times.ts';
import { withBenchLab } from './support/bench-lab.ts';
import { addToBridge, BRIDGE_GATEWAY } from './support/bridge-plugin.ts';
import { startEchoProber } from './support/echo-prober.ts';
import { describeTimes, percentile } from './support/percentiles.ts';
import { addWorkload, makeNamespace, type Workload } from './support/workload.ts';

const [count = 100] = process.argv.slice(2).map(Number);
const NAMESPACE = 'default';

interface Times {
  readonly adds: number[];
  /** From the plugin's start to the first answer. */
  readonly firsts: number[];
}

function pod(name: string, node: string, app: string): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app } },
    spec: { nodeName: node, containers: [{ name: 'main', image: 'busybox' }] },
  };
}

/** `add` puts the namespace into its network; somebody in it asks `target` from before. */
async function measure(
  host: LabHost,
  target: string,
  { adds, firsts }: Times,
  add: (netns: string) => Promise<Workload>,
): Promise<void> {
  const netns = await makeNamespace(host);
  const prober = await startEchoProber(host, netns, target);
  const startedAt = performance.now();
  const { addMs } = await add(netns);
  adds.push(addMs);
  firsts.push((await prober.answered) - startedAt);
  await prober.stop();
}

await withBenchLab({ hosts: 3, withoutKubelet: true }, async ({ lab, api }) => {
  const [one, two] = [lab.host('node-1'), lab.host('node-2')];
  await api.create(PODS, NAMESPACE, pod('target', 'node-2', 'target'));
  const target = await addWorkload(two, { namespace: NAMESPACE, name: 'target' });
  await api.create(NETWORK_POLICIES, NAMESPACE, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'only-clients', namespace: NAMESPACE },
    spec: {
      podSelector: { matchLabels: { app: 'target' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
    },
  });
  await addToBridge(one);
  const since = new Date();
  const ours: Times = { adds: [], firsts: [] };
  const bridge: Times = { adds: [], firsts: [] };
  for (let index = 0; index < count; index++) {
    const name = `client-${index}`;
    await api.create(PODS, NAMESPACE, pod(name, 'node-1', 'client'));
    await measure(one, target.address, ours, (netns) =>
      addWorkload(one, { namespace: NAMESPACE, name }, netns),
    );
    await measure(one, BRIDGE_GATEWAY, bridge, (netns) => addToBridge(one, netns));
  }
  for (const [what, key] of [
    ["ADD, from the plugin's start to its end", 'adds'],
    ['ADD to first packet answered', 'firsts'],
  ] as const) {
    const ratio = percentile(ours[key], 50) / percentile(bridge[key], 50);
    console.log(`${what}:  ours (policed) ${describeTimes(ours[key])}`);
    console.log(`${' '.repeat(what.length)}   bridge         ${describeTimes(bridge[key])}`);
    console.log(`${' '.repeat(what.length)}   medians, ours over bridge: ${ratio.toFixed(2)}`);
  }
  console.log('Where an ADD spends it, by the event log of node-1 (medians):');
  const steps = await addTimes(api, 'node-1', since);
  for (const { step, times } of steps) console.log(`  ${step.padEnd(44)} ${describeTimes(times)}`);
});
