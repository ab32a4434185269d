// Memory of a host (PSS of agent, kernel writer, bgpd, kubelet), of three hosts, idle and with pods; the pods' own processes
// and their shims apart.
//   node scripts/build.ts && node scripts/inside.ts node bench/memory.ts [idle seconds] [pods]

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { silentNarrator } from '../lab/story/narrator.ts';
import { namespaceObject, podObject } from '../lab/story/pods.ts';
import { Stage } from '../lab/story/stage.ts';
import { type BenchLab, benchCluster, withBenchLab } from './support/bench-lab.ts';

const [idleSeconds = 300, pods = 100] = process.argv.slice(2).map(Number);
const NAMESPACE = 'bench';
const PROGRAMS = [
  ['kernel writer', 'agents/felix/kernel/main'],
  ['agent', 'agents/node/main'],
  ['bgpd', 'agents/bgp/main'],
  ['kubelet', 'agents/kubelet/main'],
] as const;

/** KiB by program, of the processes of one host. What is none of ours runs in a pod, or holds one. */
function memoryOf(host: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const read = (file: string): string => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'latin1');
      } catch {
        return '';
      }
    };
    if (!read('environ').includes(`/${host}\0`)) continue;
    const command = read('cmdline');
    const program = PROGRAMS.find(([, path]) => command.includes(path))?.[0] ?? 'pods and shims';
    const pss = Number(/^Pss:\s+(\d+) kB/m.exec(read('smaps_rollup'))?.[1] ?? 0);
    sums.set(program, (sums.get(program) ?? 0) + pss);
  }
  return sums;
}

function report(title: string, { lab }: BenchLab): void {
  console.log(title);
  for (const { name } of lab.hosts()) {
    const sums = memoryOf(name);
    const mb = (kib: number): string => `${(kib / 1024).toFixed(0)} MB`;
    const own = [...sums].filter(([program]) => program !== 'pods and shims');
    const total = own.reduce((sum, [, kib]) => sum + kib, 0);
    const parts = own.map(([program, kib]) => `${program} ${mb(kib)}`).join(', ');
    console.log(`  ${name}: ${mb(total)} (${parts}); pods and shims ${mb(sums.get('pods and shims') ?? 0)}`);
  }
}

await withBenchLab({ hosts: 3 }, async (bench) => {
  await delay(idleSeconds * 1000);
  report(`idle for ${idleSeconds} s`, bench);
  const stage = new Stage(benchCluster(bench), silentNarrator);
  await stage.apply([namespaceObject(NAMESPACE)]);
  const names = Array.from({ length: pods }, (_, index) => `pod-${index}`);
  await stage.apply(
    names.map((name, index) => podObject({ namespace: NAMESPACE, name, node: `node-${1 + (index % 3)}` })),
  );
  await stage.kubectl(['wait', '-n', NAMESPACE, '--for=condition=Ready', '--timeout=600s', 'pods', '--all']);
  report(`${pods} pods on three hosts`, bench);
});
