#!/usr/bin/env node
// bgpctl (docs/bgp.md "bgpctl").

import { runBgpctl } from './program.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
// `bgpctl … | head`: whoever reads has seen enough.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await runBgpctl({
  argv: process.argv.slice(2),
  env: process.env,
  out: (chunk) => void process.stdout.write(chunk),
  err: (chunk) => void process.stderr.write(chunk),
  now: () => new Date(),
  signal: interrupted.signal,
});
