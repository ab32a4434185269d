// Whether this process can become any other user: as root of a user namespace made for one user it cannot.
import { readFileSync } from 'node:fs';

export function isRealRoot(): boolean {
  const maps = readFileSync('/proc/self/uid_map', 'utf8');
  return process.getuid?.() === 0 && /^\s*0\s+0\s+4294967295/.test(maps);
}
