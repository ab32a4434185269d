// As atomicity.test.ts, for as long as it takes to use up what there is of numbers.

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  createProbeBed,
  probeBothEnds,
  probeGenerations,
  probeIdentities,
  probeRandomChanges,
} from './support/atomicity.ts';
import { describeProbe } from './support/flow-prober.ts';
import type { FuzzBed } from './support/fuzz-bed.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Date.now() % 1e9);
/** Idle flows stay in conntrack for the whole of a run. */
const AN_HOUR = 3_600;

describe('under a continuous probe', () => {
  let bed: FuzzBed | undefined;
  afterEach(async () => {
    await bed?.close();
  });

  it(`1,000 random changes are atomic (seed ${SEED})`, async () => {
    bed = await createProbeBed(5);
    const report = await probeRandomChanges(bed, { seed: SEED, changes: 1_000, timesEach: 5 });
    process.stdout.write(`${describeProbe(report)}, ${JSON.stringify(report.changes)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(Math.min(report.arrived, report.dropped, report.duringChanges)).toBeGreaterThan(10_000);
  }, 1_800_000);

  it('3,000 times both ends of a packet get other groups at once', async () => {
    bed = await createProbeBed(5);
    const report = await probeBothEnds(bed, 3_000);
    process.stdout.write(`${describeProbe(report)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.arrived).toBe(0);
  }, 900_000);

  it('5,000 generations are used up, and no revoked flow comes back with their numbers', async () => {
    bed = await createProbeBed(AN_HOUR);
    const report = await probeGenerations(bed, { changes: 5_600 });
    process.stdout.write(
      `${describeProbe(report)}, ${report.generations} generations, ${report.idleFlows} idle flows, ` +
        `${report.idlePacketsAtTheirGeneration} packets of them under their own number again\n`,
    );
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(report.generations).toBeGreaterThanOrEqual(5_000);
    expect(report.rounds).toBe(1);
    expect(report.idlePacketsAtTheirGeneration).toBeGreaterThan(50);
    expect(report.idleCounted).toBe(report.idleFlows);
  }, 1_800_000);

  it('300,000 identities are used up, and nothing gets through meanwhile', async () => {
    bed = await createProbeBed(5);
    const report = await probeIdentities(bed, { rounds: 750, sets: 400 });
    process.stdout.write(`${describeProbe(report)}, ${report.identities} identities\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(report.timesUsedUp).toBeGreaterThanOrEqual(1);
  }, 1_800_000);
});
