// Memory of one lab host's programs, as PSS: what they share is divided among them.

import { readdirSync, readFileSync } from 'node:fs';

export const PODS_AND_SHIMS = 'pods and shims';
const PROGRAMS = [
  ['kernel writer', 'agents/felix/kernel/main'],
  ['agent', 'agents/node/main'],
  ['bgpd', 'agents/bgp/main'],
  ['kubelet', 'agents/kubelet/main'],
] as const;

/** KiB by program, of the processes of one host. What is none of ours runs in a pod, or holds one. */
export function memoryOf(host: string): ReadonlyMap<string, number> {
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
    const program = PROGRAMS.find(([, path]) => command.includes(path))?.[0] ?? PODS_AND_SHIMS;
    const pss = Number(/^Pss:\s+(\d+) kB/m.exec(read('smaps_rollup'))?.[1] ?? 0);
    sums.set(program, (sums.get(program) ?? 0) + pss);
  }
  return sums;
}
