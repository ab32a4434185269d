#!/usr/bin/env node
// calicoctl (docs/calicoctl.md).

import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { runProgram } from './program.ts';

/** From the sources and from dist/ alike. */
function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string };
      return found.version;
    } catch {
      // It is one folder up or two.
    }
  }
  return 'unknown';
}

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
// `calicoctl … | head`: whoever reads has seen enough.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await runProgram({
  argv: process.argv.slice(2),
  env: process.env,
  version: packageVersion(),
  out: (chunk) => void process.stdout.write(chunk),
  err: (chunk) => void process.stderr.write(chunk),
  readStdin: () => text(process.stdin),
  now: () => new Date(),
  signal: interrupted.signal,
});
