// Memory of a host (PSS of agent, kernel writer, bgpd, kubelet), of three hosts, idle and with pods; the pods' own processes
// and their shims apart.
//   node scripts/build.ts && node scripts/inside.ts node bench/memory.ts [idle seconds] [pods]

import { setTimeout as delay } from 'node:timers/promises';
import { namespaceObject, podObject } from '../lab/story/pods.ts';
import { NAMESPACES, PODS } from '../lib/kube-client/client.ts';
import type { Resource } from '../lib/model/metadata.ts';
import { type BenchLab, withBenchLab } from './support/bench-lab.ts';
import { memoryOf, PODS_AND_SHIMS } from './support/host-memory.ts';

const [idleSeconds = 300, pods = 100] = process.argv.slice(2).map(Number);
const NAMESPACE = 'bench';
const RUNNING_TIMEOUT_MS = 600_000;
function report(title: string, { lab }: BenchLab): void {
  console.log(title);
  for (const { name } of lab.hosts()) {
    const sums = memoryOf(name);
    const mb = (kib: number): string => `${(kib / 1024).toFixed(0)} MB`;
    const own = [...sums].filter(([program]) => program !== PODS_AND_SHIMS);
    const total = own.reduce((sum, [, kib]) => sum + kib, 0);
    const parts = own.map(([program, kib]) => `${program} ${mb(kib)}`).join(', ');
    console.log(`  ${name}: ${mb(total)} (${parts}); pods and shims ${mb(sums.get(PODS_AND_SHIMS) ?? 0)}`);
  }
}

async function untilRunning({ api }: BenchLab): Promise<void> {
  const deadline = performance.now() + RUNNING_TIMEOUT_MS;
  for (;;) {
    const { items } = await api.list(PODS, NAMESPACE);
    const phases = items.map(({ status }) => (status as { phase?: string } | undefined)?.phase);
    const running = phases.filter((phase) => phase === 'Running').length;
    if (running === pods) return;
    if (performance.now() > deadline) throw new Error(`${running} of ${pods} pods run`);
    await delay(500);
  }
}

await withBenchLab({ hosts: 3 }, async (bench) => {
  await delay(idleSeconds * 1000);
  report(`idle for ${idleSeconds} s`, bench);
  await bench.api.create(NAMESPACES, undefined, namespaceObject(NAMESPACE) as Resource);
  for (let index = 0; index < pods; index++) {
    const spec = { namespace: NAMESPACE, name: `pod-${index}`, node: `node-${1 + (index % 3)}` };
    await bench.api.create(PODS, NAMESPACE, podObject(spec) as Resource);
  }
  await untilRunning(bench);
  report(`${pods} pods on three hosts`, bench);
});
