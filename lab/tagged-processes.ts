// Finds and ends processes by a tag in their environment: every process started on a lab host inherits the host's tag, so
// that pods and other grandchildren go with their host.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Environment variable that carries "process namespace/fabric/host". */
const TAG_VARIABLE = 'CALICO_TS_LAB_HOST';
const GONE_TIMEOUT_MS = 5_000;

export function hostTag(fabric: number, host: string): Record<string, string> {
  return { [TAG_VARIABLE]: tag(fabric, host) };
}

/** The process namespace is part of it: a lab started from within another one is not ours to sweep. */
function tag(fabric: number, host: string): string {
  return `${readlinkSync('/proc/self/ns/pid')}/${fabric}/${host}`;
}

/** Kills every process of a host, or of all hosts of a fabric, and waits until they are gone. */
export async function killTagged(fabric: number, host?: string): Promise<void> {
  const wanted =
    host === undefined ? `${TAG_VARIABLE}=${tag(fabric, '')}` : `${TAG_VARIABLE}=${tag(fabric, host)}\0`;
  const deadline = performance.now() + GONE_TIMEOUT_MS;
  // Again and again: a process may have forked between the listing and its end.
  for (
    let pids = taggedPids(wanted);
    pids.length > 0 && performance.now() < deadline;
    pids = taggedPids(wanted)
  ) {
    for (const pid of pids) kill(pid);
    await delay(2);
  }
}

function taggedPids(wanted: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.filter((pid) => `\0${environmentOf(pid)}`.includes(`\0${wanted}`)).map(Number);
}

/** Empty for a process that is gone, a zombie, or not ours to look at. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone in the meantime.
  }
}
