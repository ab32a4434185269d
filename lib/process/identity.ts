// Tells a process from a later one that got the same process id: by its start time (proc_pid_stat(5), field 22).

import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A process as written down for a later program to find. */
export const processIdentitySchema = z.strictObject({
  pid: z.number().int().positive(),
  /** Clock ticks since boot. */
  startTime: z.string(),
});
export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

/** The identity of a process that is alive (a zombie is not), or undefined. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name, field 2, may itself hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTime = fields[19];
    return fields[0] === 'Z' || startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

export function isSameProcessAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime;
}
