// Work in another network namespace (setns(2)): the main thread goes there and comes back, with nothing in between that
// waits. Sockets made there stay there, and /proc/sys/net shows that namespace's settings to this thread.

import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { NetlinkError } from './socket.ts';

const CLONE_NEWNET = 0x40000000;

type Setns = (fd: number, type: number) => number;
let loaded: Setns | undefined;

/** For good: the calling thread. Throws NetlinkError if it cannot be entered. */
export function enterNamespace(namespaceFd: number): void {
  loaded ??= koffi.load('libc.so.6').func('int setns(int fd, int nstype)') as Setns;
  if (loaded(namespaceFd, CLONE_NEWNET) !== 0) throw new NetlinkError(koffi.errno(), undefined);
}

export class NamespaceSwitch {
  readonly #home: number;

  constructor() {
    this.#home = openSync('/proc/self/ns/net', 'r');
  }

  /** Runs synchronous work in the namespace. Throws NetlinkError if it cannot be entered. */
  within<T>(namespaceFd: number, work: () => T): T {
    enterNamespace(namespaceFd);
    try {
      return work();
    } finally {
      // Anything written from here on would hit somebody else's namespace: a new writer starts at home.
      try {
        enterNamespace(this.#home);
      } catch {
        process.exit(1);
      }
    }
  }
}

/** Opens the file for the time of the work. */
export function withFile<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
