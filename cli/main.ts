#!/usr/bin/env node
// calicoctl (docs/calicoctl.md).

import '../lib/config/node-version.ts';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { processInput } from './command-line.ts';
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

process.exitCode = await runProgram({
  ...processInput(),
  env: process.env,
  version: packageVersion(),
  readStdin: () => text(process.stdin),
});
