// Keeps a container's log file bounded while its shim goes on writing to it.

import { appendFileSync, closeSync, openSync, readSync, statSync, truncateSync } from 'node:fs';

/** As Kubernetes' own limit of a log file. */
const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** Keeps the newer half of a log that has grown too long. A line written in this very moment may be lost or come early. */
export function limitLog(path: string, maxBytes = MAX_LOG_BYTES): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  const kept = Buffer.alloc(Math.floor(maxBytes / 2));
  const file = openSync(path, 'r');
  try {
    readSync(file, kept, 0, kept.length, size - kept.length);
  } finally {
    closeSync(file);
  }
  truncateSync(path);
  // Appended, as the shim appends: neither overwrites the other.
  appendFileSync(path, kept.subarray(kept.indexOf(10) + 1));
}
