// Processor time and memory of a process by /proc.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Seconds on a processor of all threads, user and system time together, to the nanosecond (`stat` counts in 10 ms). */
export function cpuSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1');
      nanoseconds += Number(text.slice(0, text.indexOf(' ')));
    } catch {
      // A thread may end between the two reads.
    }
  }
  return nanoseconds / 1e9;
}

/** Resident memory now, in octets. */
export function residentOctets(pid: number): number {
  return statusOctets(pid, 'VmRSS');
}

/** The most that was resident since the last `forgetPeak`, in octets. */
export function peakOctets(pid: number): number {
  return statusOctets(pid, 'VmHWM');
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function statusOctets(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kilobytes = new RegExp(`^${field}:\\s+([0-9]+) kB`, 'm').exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`no ${field} of process ${pid}`);
  return 1024 * Number(kilobytes);
}
