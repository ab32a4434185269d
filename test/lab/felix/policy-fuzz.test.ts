// Differential fuzzing: random clusters through the real calculation graph and driver, random packets of every kind through the real
// kernel, verdict and deciding rule against the evaluator's (docs/policy.md "How it is checked"). Cases that once failed are in
// test/data/policy-fuzz, and are played again.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FuzzStep } from '../../support/policy-fuzz/steps.ts';
import { PRIORITY_SCRATCH } from './support/calc-feed.ts';
import { FuzzBed } from './support/fuzz-bed.ts';
import { FuzzSession, playCase } from './support/fuzz-session.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 20261126);
const STEPS = Number(process.env['TEST_STEPS'] ?? 110);
const PACKETS_PER_STEP = 24;
/** One third of the steps has the packet's priority as scratch; live flows outlast the change of it. */
const STEPS_OF_A_FORM = 5;
const FOLDER = path.join(import.meta.dirname, '../../data/policy-fuzz');
const CASES = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
/** Every way in which a verdict comes about. */
const CATEGORIES = [
  'allow policy',
  'allow profile',
  'allow unpoliced',
  'allow endpointToHost',
  'deny rule',
  'deny tierDefault',
  'deny missingProfile',
  'deny noProfileMatch',
  'deny endpointToHost',
  'deny bgpPort',
  'deny tunnelFromWorkload',
  'deny spoofedSource',
  // Of host endpoints, by stage.
  'allow policy normal',
  'allow profile normal',
  'allow failsafePort normal',
  'deny rule normal',
  'deny tierDefault normal',
  'deny missingProfile normal',
  'deny noProfileMatch normal',
  'allow policy forward',
  'deny rule forward',
  'deny tierDefault forward',
  'allow policy preDnat',
  'deny rule preDnat',
  'allow policy untracked',
  'deny rule untracked',
];

describe('kernel and evaluator', () => {
  let bed: FuzzBed;
  beforeAll(async () => {
    bed = await FuzzBed.create();
  }, 120_000);
  afterAll(async () => {
    await bed?.close();
  });

  it(`agree on the packets of ${STEPS} random rulesets, and on the rules that decide (seed ${SEED})`, async () => {
    const session = new FuzzSession(bed, SEED, PACKETS_PER_STEP);
    for (let step = 0; step < STEPS; step++) {
      bed.settings = Math.floor(step / STEPS_OF_A_FORM) % 3 === 2 ? PRIORITY_SCRATCH : {};
      const disagreements = await session.step();
      if (disagreements.length > 0)
        throw new Error(
          `${JSON.stringify(bed.settings)} ${JSON.stringify(await session.shrink(disagreements), null, 1)}`,
        );
    }
    const { tally } = session;
    process.stdout.write(`${tally.describe()}\n`);
    expect(tally.packets).toBeGreaterThanOrEqual(STEPS * 20);
    // Verdicts that are nearly all the same would prove little.
    expect(tally.share('allow')).toBeGreaterThan(0.3);
    expect(tally.share('deny')).toBeGreaterThan(0.3);
    expect(tally.share('allow policy', 'deny rule')).toBeGreaterThan(0.2);
    expect([...tally.categories.keys()].sort()).toEqual([...CATEGORIES].sort());
    expect(Math.min(tally.kept, tally.revoked, tally.staged)).toBeGreaterThan(STEPS / 2);
  }, 900_000);

  it.each(CASES)('agree in the case %s, which once failed', async (file) => {
    const { steps } = JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as { steps: FuzzStep[] };
    expect(await playCase(bed, steps)).toEqual([]);
  });
});
