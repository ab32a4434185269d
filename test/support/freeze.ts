// Stops a process as SIGSTOP does, and waits until it has stopped. See signal(7), proc_pid_stat(5).
import { readdirSync, readFileSync } from 'node:fs';
import { until } from './until.ts';

/** The states of a process's threads, a letter each: T is stopped. Throws when there is no such process. */
function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // The name before the state is in parentheses and may contain some itself.
    return stat.charAt(stat.lastIndexOf(')') + 2);
  });
}

function isStopped(pid: number): boolean {
  try {
    return threadStates(pid).every((state) => state === 'T');
  } catch {
    // A thread has ended between the list and the look at it.
    return false;
  }
}

/**
 * Freezes a process. kill(2) returns when the signal is sent: on a busy machine the threads may run on for a while and
 * answer what was meant to be left unanswered.
 */
export async function freeze(pid: number | undefined): Promise<void> {
  // To kill(2), 0 and less are groups of processes, this one's own among them.
  if (pid === undefined || pid <= 0) throw new Error('no such process to freeze');
  process.kill(pid, 'SIGSTOP');
  await until(`process ${pid} to stop`, () => isStopped(pid));
}
