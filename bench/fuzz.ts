// `npm run fuzz -- --runs 1e7 --seed N`: feeds changed messages of other speakers to the codec of bgpd. Exits with 1 after a
// finding, which is left in .cache/fuzz. Input number I of a seed is always the same: `--seed N --from I --runs 1`.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCommandLine, tellUsage } from '../lib/config/usage.ts';
import { dumpedAttributes, dumpedMessages, smallCorpus } from '../test/support/bgp-data/corpus.ts';
import { SeededRandom } from '../test/support/random.ts';
import { check } from './fuzz/check.ts';
import { Finding } from './fuzz/finding.ts';
import { minimise } from './fuzz/minimise.ts';
import { type Corpus, type FuzzInput, fuzzInput } from './fuzz/mutate.ts';
import { numberOf } from './support/arguments.ts';

const USAGE = 'npm run fuzz [-- --runs N] [--seed N] [--from N]';
const PROGRESS_MS = 2000;
/** How many inputs go between two looks at the clock. */
const BATCH = 256;
/** Different checks that fail; one input of each is kept. */
const MAX_FINDINGS = 20;
const FOLDER = join(import.meta.dirname, '../.cache/fuzz');

class Fuzzer {
  readonly #seed: number;
  readonly #corpus: Corpus;
  readonly #counts = new Map<string, number>();
  readonly #findings = new Map<string, string>();
  #runs = 0;
  #pastHeader = 0;

  constructor(seed: number, corpus: Corpus) {
    this.#seed = seed;
    this.#corpus = corpus;
  }

  get findings(): ReadonlyMap<string, string> {
    return this.#findings;
  }

  run(index: number): void {
    // Neighbouring numbers are far apart after the first step of the generator.
    const random = new SeededRandom((this.#seed ^ Math.imul(index, 0x9e3779b1)) >>> 0);
    const input = fuzzInput(this.#corpus, random);
    this.#runs++;
    try {
      const { pastHeader, key } = check(input);
      if (pastHeader) this.#pastHeader++;
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      this.#report(index, input, error);
    }
  }

  progress(seconds: number): string {
    const rate = Math.round(this.#runs / seconds);
    const errors = [...this.#counts]
      .filter(([key]) => /^\d/.test(key))
      .reduce((sum, [, count]) => sum + count, 0);
    return (
      `${this.#runs} inputs in ${seconds.toFixed(0)} s (${rate} a second), ${this.#percent(this.#pastHeader)} past the ` +
      `header, ${this.#percent(errors)} refused, ${this.#findings.size} findings`
    );
  }

  table(): string {
    const rows = [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return rows.map(([key, count]) => `  ${key.padEnd(20)} ${String(count).padStart(10)}`).join('\n');
  }

  #percent(count: number): string {
    return `${((100 * count) / Math.max(1, this.#runs)).toFixed(1)} %`;
  }

  #report(index: number, input: FuzzInput, finding: Finding): void {
    if (this.#findings.has(finding.check) || this.#findings.size >= MAX_FINDINGS) return;
    const smallest = minimise(input, finding);
    const { kind, octets, context } = smallest;
    const file = join(FOLDER, `${this.#seed}-${index}.json`);
    const report = {
      finding: finding.message,
      reproduce: `npm run fuzz -- --seed ${this.#seed} --from ${index} --runs 1`,
      kind,
      octets: Buffer.from(octets).toString('hex'),
      context,
    };
    mkdirSync(FOLDER, { recursive: true });
    const plain = (_key: string, value: unknown): unknown => (value instanceof Set ? [...value] : value);
    writeFileSync(file, `${JSON.stringify(report, plain, 2)}\n`);
    this.#findings.set(finding.check, file);
    console.log(`FINDING ${finding.message.slice(0, 1000)}\n  ${octets.length} octets in ${file}`);
  }
}

function main(args: readonly string[]): number {
  const { values } = readCommandLine(USAGE, {
    args: [...args],
    options: {
      runs: { type: 'string', default: '1e6' },
      seed: { type: 'string', default: String(Date.now() % 1e9) },
      from: { type: 'string', default: '0' },
    },
  });
  const runs = numberOf('runs', values.runs, USAGE);
  const seed = numberOf('seed', values.seed, USAGE);
  const from = numberOf('from', values.from, USAGE);
  const corpus = { small: smallCorpus(), dumps: dumpedMessages(), attributes: dumpedAttributes() };
  console.log(
    `seed ${seed}; corpus: ${corpus.small.length} messages of every kind, ${corpus.dumps.length} of dumps, ` +
      `${corpus.attributes.length} attribute lists`,
  );
  const fuzzer = new Fuzzer(seed, corpus);
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  let told = started;
  for (let index = from; index < from + runs; index++) {
    fuzzer.run(index);
    if (index % BATCH === 0 && performance.now() - told > PROGRESS_MS) {
      told = performance.now();
      console.log(fuzzer.progress(elapsed()));
    }
  }
  console.log(`${fuzzer.progress(elapsed())}\n${fuzzer.table()}`);
  if (fuzzer.findings.size === 0) return 0;
  console.log(`findings:\n${[...fuzzer.findings].map(([name, file]) => `  ${name}: ${file}`).join('\n')}`);
  return 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  process.exitCode = tellUsage(error);
}
