// A run of the differential fuzzer from a seed: draws steps, plays them, counts what came of them, and makes what fails small. The
// lab test and `npm run fuzz:policy` are both one of these.

import { shrink } from '../../../support/policy-fuzz/shrink.ts';
import { type FuzzStep, StepDraws } from '../../../support/policy-fuzz/steps.ts';
import type { FuzzBed } from './fuzz-bed.ts';
import { type Disagreement, FuzzRun } from './fuzz-run.ts';

/** A case that fails, as small as it could be made. */
export interface FuzzFinding {
  readonly disagreements: readonly Disagreement[];
  readonly steps: readonly FuzzStep[];
}

/** Steps kept to find those that a failure needs. */
const MOST_HISTORY = 32;

class FuzzTally {
  steps = 0;
  packets = 0;
  tolerated = 0;
  kept = 0;
  revoked = 0;
  staged = 0;
  /** New flows by `allow …`, `deny …` and what decided. */
  readonly categories = new Map<string, number>();

  /** Of the new flows, whose category begins so. */
  share(...beginnings: readonly string[]): number {
    let [all, matching] = [0, 0];
    for (const [category, count] of this.categories) {
      all += count;
      if (beginnings.some((beginning) => category.startsWith(beginning))) matching += count;
    }
    return all === 0 ? 0 : matching / all;
  }

  /** A few lines for people. */
  describe(): string {
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    const rows = [...this.categories]
      .sort(([, a], [, b]) => b - a)
      .map(([category, count]) => `${category} ${count}`);
    return (
      `${this.packets} packets over ${this.steps} rulesets: ${percent(this.share('allow'))} allowed, ` +
      `${percent(this.share('allow policy', 'deny rule'))} decided by a policy's rule, ` +
      `${this.kept} packets of live flows that stay allowed, ${this.revoked} of revoked ones, ` +
      `${this.staged} would-be verdicts, ${this.tolerated} ids of a later rule of the same run\n  ${rows.join(', ')}`
    );
  }
}

export class FuzzSession {
  readonly tally = new FuzzTally();
  readonly #bed: FuzzBed;
  readonly #draws: StepDraws;
  #run: FuzzRun;
  #history: FuzzStep[] = [];

  constructor(bed: FuzzBed, seed: number, packetsPerStep: number) {
    this.#bed = bed;
    this.#draws = new StepDraws(seed, packetsPerStep);
    this.#run = new FuzzRun(bed);
  }

  /** One more step. What it found, as it came. */
  async step(): Promise<readonly Disagreement[]> {
    const step = this.#draws.next(this.#run.liveFlows);
    this.#history.push(step);
    if (this.#history.length > MOST_HISTORY) this.#history.shift();
    const result = await this.#run.play(step);
    const { tally } = this;
    tally.steps++;
    tally.packets += result.packets;
    tally.tolerated += result.tolerated;
    tally.staged += result.staged;
    tally.kept += result.liveFlows.kept;
    tally.revoked += result.liveFlows.revoked;
    for (const [category, count] of result.categories)
      tally.categories.set(category, (tally.categories.get(category) ?? 0) + count);
    return result.disagreements;
  }

  /** The smallest case in which something of the last step still goes wrong; as it was, if it does not go wrong again. */
  async shrink(disagreements: readonly Disagreement[]): Promise<FuzzFinding> {
    const failing = [...new Set(disagreements.map(({ packet }) => packet.number))];
    let last = disagreements;
    const steps = await shrink(this.#history, failing, async (tried) => {
      const found = await playCase(this.#bed, tried);
      if (found.length > 0) last = found;
      return found.length > 0;
    });
    // The kernel's flows are those of the case now.
    this.#run = new FuzzRun(this.#bed);
    this.#history = [];
    return { disagreements: last, steps };
  }
}

/** Plays a case from a table made anew; what the last step found. */
export async function playCase(bed: FuzzBed, steps: readonly FuzzStep[]): Promise<readonly Disagreement[]> {
  const run = new FuzzRun(bed);
  let found: readonly Disagreement[] = [];
  for (const [index, step] of steps.entries())
    found = (await run.play({ ...step, replace: index === 0 || step.replace })).disagreements;
  return found;
}
