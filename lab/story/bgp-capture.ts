// The command that prints a host's BGP messages as they cross its eth0. tcpdump knows BGP: what was said on the wire is read
// by somebody else's decoder. See tcpdump(8), user_namespaces(7).

import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const SECONDS = '60';
const BGP_PORT = '179';
const DECODE = ['tcpdump', '-n', '-v', '-l'] as const;

/** For root: tcpdump does it all. It ends by itself after a minute. */
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

/** The first line on standard error once it reads. */
export function isCaptureReady(line: string): boolean {
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
