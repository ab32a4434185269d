// `npm run fuzz:policy -- --packets 100000 --seed N`: random clusters and packets, kernel against evaluator, verdict and deciding rule.
// Exits with 1 after a finding, which is made small and left in .cache/fuzz; copied to test/data/policy-fuzz it is a regression.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCommandLine, tellUsage } from '../lib/config/usage.ts';
import { FuzzBed } from '../test/lab/felix/support/fuzz-bed.ts';
import { FuzzSession } from '../test/lab/felix/support/fuzz-session.ts';
import { numberOf } from './support/arguments.ts';

const PROGRESS_MS = 10_000;
const PACKETS_PER_STEP = 60;
const USAGE = 'npm run fuzz:policy [-- --packets N] [--seed N] [--findings N]';
const FOLDER = join(import.meta.dirname, '../.cache/fuzz');

async function main(args: readonly string[]): Promise<number> {
  const { values } = readCommandLine(USAGE, {
    args: [...args],
    options: {
      packets: { type: 'string', default: '1e5' },
      seed: { type: 'string', default: String(Date.now() % 1e9) },
      // After so many the run ends: they have most likely one cause.
      findings: { type: 'string', default: '10' },
    },
  });
  const packets = numberOf('packets', values.packets, USAGE);
  const seed = numberOf('seed', values.seed, USAGE);
  const mostFindings = numberOf('findings', values.findings, USAGE);
  console.log(`seed ${seed}`);
  const bed = await FuzzBed.create();
  const files: string[] = [];
  const started = performance.now();
  const elapsed = (): string => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  try {
    const session = new FuzzSession(bed, seed, PACKETS_PER_STEP);
    let told = started;
    while (session.tally.packets < packets && files.length < mostFindings) {
      const disagreements = await session.step();
      if (disagreements.length > 0) {
        const [raw] = disagreements;
        console.log(
          `FINDING after ${session.tally.packets} packets, ${elapsed()}: ${JSON.stringify(raw)}; making it small`,
        );
        const finding = await session.shrink(disagreements);
        const file = join(FOLDER, `policy-${seed}-${session.tally.steps}.json`);
        mkdirSync(FOLDER, { recursive: true });
        writeFileSync(file, `${JSON.stringify(finding, null, 2)}\n`);
        files.push(file);
        const [first] = finding.disagreements;
        console.log(`  expected ${first?.expected}, seen ${first?.seen}\n  ${file}`);
      }
      if (performance.now() - told > PROGRESS_MS) {
        told = performance.now();
        console.log(
          `${session.tally.packets} packets, ${session.tally.steps} rulesets, ${files.length} findings`,
        );
      }
    }
    console.log(`${elapsed()}, ${files.length} findings: ${session.tally.describe()}`);
  } finally {
    await bed.close();
  }
  return files.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = tellUsage(error);
}
