// Pod ADD to first policed packet: the benchmark plays the kubelet for pods that the API holds, the plugin's guard and a
// policy on the answering side included.
//   node scripts/build.ts && node scripts/inside.ts node bench/pods.ts [pods]

import { NETWORK_POLICIES, PODS } from '../lib/kube-client/client.ts';
import type { Resource } from '../lib/model/metadata.ts';
import { addTimes } from './support/add-times.ts';
import { withBenchLab } from './support/bench-lab.ts';
import { startEchoProber } from './support/echo-prober.ts';
import { describeTimes } from './support/percentiles.ts';
import { addWorkload, makeNamespace } from './support/workload.ts';

const [count = 100] = process.argv.slice(2).map(Number);
const NAMESPACE = 'default';

function pod(name: string, node: string, app: string): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app } },
    spec: { nodeName: node, containers: [{ name: 'main', image: 'busybox' }] },
  };
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
  const since = new Date();
  const adds: number[] = [];
  const firsts: number[] = [];
  for (let index = 0; index < count; index++) {
    const name = `client-${index}`;
    await api.create(PODS, NAMESPACE, pod(name, 'node-1', 'client'));
    const netns = await makeNamespace(one);
    const prober = await startEchoProber(one, netns, target.address);
    const startedAt = performance.now();
    const { addMs } = await addWorkload(one, { namespace: NAMESPACE, name }, netns);
    adds.push(addMs);
    firsts.push((await prober.answered) - startedAt);
    await prober.stop();
  }
  console.log(`ADD, from the plugin's start to its end:   ${describeTimes(adds)}`);
  console.log(`ADD to first policed packet answered:      ${describeTimes(firsts)}`);
  console.log('Where an ADD spends it, by the event log of node-1 (medians):');
  const steps = await addTimes(api, 'node-1', since);
  for (const { step, times } of steps) console.log(`  ${step.padEnd(44)} ${describeTimes(times)}`);
});
