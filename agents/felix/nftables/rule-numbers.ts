// What rule ids meant, kept on disk beyond the agent that gave them out (docs/dataplane.md "Numbers"): generation → epoch, and
// epoch and id → policy, direction, rule. A journal of JSON lines, appended before the kernel is told, made anew as a whole at
// each start and when it has grown; a line that cannot be read is passed over.

import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import type { Logger } from '../../../lib/logging/logger.ts';
import { BUILT_IN_MEANINGS, type RuleMeaning } from './render/numbering.ts';

const direction = z.enum(['ingress', 'egress']);
const ref = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('policy'),
    policy: z.object({ kind: z.string(), namespace: z.string(), name: z.string() }),
    direction,
    index: z.int(),
  }),
  z.object({ type: z.literal('profile'), profile: z.string(), direction, index: z.int() }),
]);
const meaningSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('rule'), ref, action: z.string() }),
  z.object({
    type: z.literal('endOfTier'),
    tier: z.string(),
    direction: z.string(),
    policy: z.string().optional(),
  }),
]);
const lineSchema = z.union([
  z.object({ epoch: z.int().positive(), id: z.int().positive(), meaning: meaningSchema }),
  z.object({ epoch: z.int().positive(), generation: z.int().positive() }),
]);

interface Epoch {
  readonly generations: Set<number>;
  readonly rules: Map<number, RuleMeaning>;
}

/** What an earlier epoch's ids stand for. */
export interface EarlierEpoch {
  readonly epoch: number;
  /** Generations whose marks carry ids of it. */
  readonly generations: readonly number[];
  readonly rules: ReadonlyMap<number, RuleMeaning>;
}

export interface RuleNumbersOptions {
  /** Undefined: nothing outlives the process. */
  readonly path: string | undefined;
  readonly logger: Logger;
  /** Epochs that are kept; 16 if left out. */
  readonly maxEpochs?: number;
  /** Rules that are kept, of all epochs together; 100,000 if left out. Those of the newest epoch always are. */
  readonly maxRules?: number;
}

/** Kept though no flow carries them: what was denied leaves no mark, but is still in records. */
const RECENT_EPOCHS = 2;
/** Lines beyond those that count, after which the journal is made anew. */
const SLACK_LINES = 10_000;

export class RuleNumbers {
  readonly #options: RuleNumbersOptions;
  readonly #epochs = new Map<number, Epoch>();
  readonly #epochOfGeneration = new Map<number, number>();
  #lastEpoch = 0;
  #linesWritten = 0;
  /** The journal, kept open: each change of policy waits for its lines, and a call for the path costs two more. */
  #file: FileHandle | undefined;
  /** The file is not what it should be: the next write makes it anew. */
  #mustRewrite = true;
  #hasWarned = false;

  constructor(options: RuleNumbersOptions) {
    this.#options = options;
  }

  /** The highest epoch that was ever noted; 0 if none. Its numbers, and its own, are never given out again. */
  get lastEpoch(): number {
    return this.#lastEpoch;
  }

  /** Reads what earlier agents left. Damage costs what is damaged. */
  async load(): Promise<void> {
    const { path, logger } = this.#options;
    if (path === undefined) return;
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        logger.warn('rule numbers of earlier agents cannot be read', { path, error });
      return;
    }
    let damaged = 0;
    for (const line of text.split('\n')) if (line !== '' && !this.#readLine(line)) damaged++;
    if (damaged > 0) logger.warn('lines of the rule numbers are damaged and passed over', { path, damaged });
    this.#dropOldest();
  }

  /** After a start: forgets epochs of which no flow carries a generation any more, and makes the file anew. */
  async keepOnly(generations: ReadonlySet<number>): Promise<void> {
    const recent = [...this.#epochs.keys()].sort((a, b) => b - a).slice(0, RECENT_EPOCHS);
    for (const [number, epoch] of this.#epochs) {
      if (recent.includes(number) || [...epoch.generations].some((each) => generations.has(each))) continue;
      this.#drop(number);
    }
    this.#mustRewrite = true;
    await this.#write([]);
  }

  /** Before the kernel has them: from the generation on, marks carry these ids of the epoch. Never throws. */
  async note(
    epoch: number,
    generation: number,
    fresh: readonly (readonly [number, RuleMeaning])[],
  ): Promise<void> {
    const lines: string[] = [];
    if (this.#epochOfGeneration.get(generation) !== epoch) {
      this.#noteGeneration(epoch, generation);
      lines.push(JSON.stringify({ epoch, generation }));
    }
    for (const [id, meaning] of fresh) {
      if (meaning.type === 'builtIn') continue;
      this.#epochOf(epoch).rules.set(id, meaning);
      lines.push(JSON.stringify({ epoch, id, meaning }));
    }
    if (lines.length === 0 && !this.#mustRewrite) return;
    this.#dropOldest();
    await this.#write(lines);
  }

  /** After the last note. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** What an id of an epoch stands for; undefined if that is not known any more. */
  meaningOf(epoch: number, id: number): RuleMeaning | undefined {
    return BUILT_IN_MEANINGS.get(id) ?? this.#epochs.get(epoch)?.rules.get(id);
  }

  /** The epoch whose ids marks of a generation carry. */
  epochOf(generation: number): number | undefined {
    return this.#epochOfGeneration.get(generation);
  }

  /** Newest first, without `current`. */
  earlier(current: number): readonly EarlierEpoch[] {
    return [...this.#epochs]
      .filter(([epoch]) => epoch !== current)
      .sort(([a], [b]) => b - a)
      .map(([epoch, { generations, rules }]) => ({
        epoch,
        generations: [...generations].sort((a, b) => a - b),
        rules,
      }));
  }

  #readLine(line: string): boolean {
    const parsed = lineSchema.safeParse(parse(line));
    if (!parsed.success) return false;
    const { data } = parsed;
    if ('generation' in data) this.#noteGeneration(data.epoch, data.generation);
    else this.#epochOf(data.epoch).rules.set(data.id, data.meaning as RuleMeaning);
    return true;
  }

  #epochOf(number: number): Epoch {
    this.#lastEpoch = Math.max(this.#lastEpoch, number);
    const known = this.#epochs.get(number);
    if (known !== undefined) return known;
    const made: Epoch = { generations: new Set(), rules: new Map() };
    this.#epochs.set(number, made);
    return made;
  }

  /** A generation that is used again has no mark of before left. */
  #noteGeneration(epoch: number, generation: number): void {
    const before = this.#epochOfGeneration.get(generation);
    if (before !== undefined) this.#epochs.get(before)?.generations.delete(generation);
    this.#epochOf(epoch).generations.add(generation);
    this.#epochOfGeneration.set(generation, epoch);
  }

  #dropOldest(): void {
    const { maxEpochs = 16, maxRules = 100_000 } = this.#options;
    let rules = 0;
    const newestFirst = [...this.#epochs].sort(([a], [b]) => b - a);
    for (const [index, [number, epoch]] of newestFirst.entries()) {
      rules += epoch.rules.size;
      const isLate = index >= maxEpochs || rules > maxRules;
      if (index > 0 && isLate) this.#drop(number);
    }
  }

  #drop(number: number): void {
    for (const generation of this.#epochs.get(number)?.generations ?? [])
      this.#epochOfGeneration.delete(generation);
    this.#epochs.delete(number);
  }

  async #write(lines: readonly string[]): Promise<void> {
    const { path, logger } = this.#options;
    if (path === undefined) return;
    try {
      const all = this.#epochOfGeneration.size + this.#countRules();
      if (
        this.#file === undefined ||
        this.#mustRewrite ||
        this.#linesWritten + lines.length > 2 * all + SLACK_LINES
      )
        await this.#rewrite(path);
      else {
        await this.#file.appendFile(`${lines.join('\n')}\n`);
        this.#linesWritten += lines.length;
      }
      this.#hasWarned = false;
    } catch (error) {
      // A full disk must not keep policy from the kernel: what cannot be written is written with the next change.
      this.#mustRewrite = true;
      if (!this.#hasWarned) logger.warn('rule numbers cannot be written', { path, error });
      this.#hasWarned = true;
    }
  }

  async #rewrite(path: string): Promise<void> {
    const lines: string[] = [];
    for (const [epoch, { generations, rules }] of this.#epochs) {
      for (const generation of generations) lines.push(JSON.stringify({ epoch, generation }));
      for (const [id, meaning] of rules) lines.push(JSON.stringify({ epoch, id, meaning }));
    }
    await this.close();
    const fresh = `${path}.new`;
    const file = await open(fresh, 'w', 0o600);
    this.#file = file;
    await file.writeFile(lines.map((line) => `${line}\n`).join(''));
    await rename(fresh, path);
    this.#linesWritten = lines.length;
    this.#mustRewrite = false;
  }

  #countRules(): number {
    let count = 0;
    for (const { rules } of this.#epochs.values()) count += rules.size;
    return count;
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
