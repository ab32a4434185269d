// The command that prints a host's BGP messages as they cross its eth0. tcpdump knows BGP: what was said on the wire is read
// by somebody else's decoder. See tcpdump(8), user_namespaces(7).

import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { ProcessError } from '../../lib/process/process-error.ts';
import { type Service, type ServiceOptions, spawnService } from '../../lib/process/service.ts';
import { SceneError } from './scene-error.ts';

/** Outlasts the scene on a busy machine; whoever starts it stops it long before. */
const SECONDS = '600';
/** tcpdump says when it listens; this only bounds the wait for one that never will. */
const READY_TIMEOUT_MS = 120_000;
const BGP_PORT = '179';
const DECODE = ['tcpdump', '-n', '-v', '-l'] as const;

/** For root: tcpdump does it all. It ends by itself after ten minutes. */
export const BGP_CAPTURE = [
  'timeout',
  SECONDS,
  ...DECODE,
  '-Z',
  'root',
  '-i',
  'eth0',
  `tcp port ${BGP_PORT}`,
] as const;

/**
 * Starts a capture on the host and resolves when tcpdump says that it listens. Throws SceneError where it never says so, and
 * ProcessError where it cannot be started.
 */
export async function startCapture(
  node: string,
  options: Omit<ServiceOptions, 'readyWhen'>,
): Promise<Service> {
  const readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  try {
    const readyWhen = { kind: 'line', matches: isCaptureReady } as const;
    return await spawnService({ ...options, readyTimeoutMs, readyWhen });
  } catch (error) {
    if (!(error instanceof ProcessError && error.type.code === 'notReady')) throw error;
    const found = error.type.output.trim() || 'no output';
    const what = `tcpdump listens on ${node}`;
    throw new SceneError({ code: 'timedOut', what, timeoutMs: readyTimeoutMs, found });
  }
}

/** The first line on standard error once it reads. */
function isCaptureReady(line: string): boolean {
  return line.includes('listening on') || line.includes('reading from file');
}

/**
 * In a lab that a user without root started. As root of a user namespace tcpdump always wants to become another user
 * first, which is forbidden there; as anybody else it may not open the interface. So a program of ours captures, and
 * tcpdump, which is not root in a user namespace of its own, decodes.
 */
export function unprivilegedBgpCapture(): readonly [string, ...string[]] {
  const capture = join(import.meta.dirname, `capture${extname(import.meta.filename)}`);
  const script = `"$1" "$2" eth0 ${BGP_PORT} | unshare --user --map-user=1 --map-group=1 ${DECODE.join(' ')} -r -`;
  return ['timeout', SECONDS, 'sh', '-c', script, 'sh', process.execPath, capture];
}

/** True where nobody can change to another user: in a user namespace made without privileges. */
export function isConfinedToOneUser(): boolean {
  return readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny';
}
