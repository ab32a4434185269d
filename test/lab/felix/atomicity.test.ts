// A policy change is atomic (docs/dataplane.md "One change, up to five transactions"): under a continuous probe of new and live flows
// no packet meets a verdict that neither the old nor the new policy gives, and none of a revoked flow that was sent after the
// acknowledgement passes, by the receiving kernel's count. atomicity.long.test.ts is the same for longer.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createProbeBed,
  probeBothEnds,
  probeGenerations,
  probeHostEndpointByAddress,
  probeIdentities,
  probeNamedNetworks,
  probeRandomChanges,
} from './support/atomicity.ts';
import { describeProbe } from './support/flow-prober.ts';
import type { FuzzBed } from './support/fuzz-bed.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 20261126);

describe('under a continuous probe', () => {
  let bed: FuzzBed;
  beforeEach(async () => {
    bed = await createProbeBed(5);
  }, 120_000);
  afterEach(async () => {
    await bed?.close();
  });

  it(`changes of every kind are atomic (seed ${SEED})`, async () => {
    const report = await probeRandomChanges(bed, { seed: SEED, changes: 40 });
    process.stdout.write(`${describeProbe(report)}, ${JSON.stringify(report.changes)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(Math.min(report.arrived, report.dropped, report.duringChanges)).toBeGreaterThan(500);
  }, 300_000);

  it('a host endpoint that is known by an address comes together with what it stands for', async () => {
    const report = await probeHostEndpointByAddress(bed, 20);
    process.stdout.write(`${describeProbe(report)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.arrived).toBe(0);
    expect(report.duringChanges).toBeGreaterThan(100);
  }, 120_000);

  it('a rule that names other networks than before is in force with them', async () => {
    const report = await probeNamedNetworks(bed, 120);
    process.stdout.write(`${describeProbe(report)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(report.dropped).toBe(0);
    expect(report.duringChanges).toBeGreaterThan(2_000);
  }, 120_000);

  it('both ends of a packet get other groups at once', async () => {
    const report = await probeBothEnds(bed, 100);
    process.stdout.write(`${describeProbe(report)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.arrived).toBe(0);
    expect(report.duringChanges).toBeGreaterThan(1_000);
  }, 120_000);

  it('generations come round, and no revoked flow comes back with them', async () => {
    const report = await probeGenerations(bed, { changes: 60, lastGeneration: 20 });
    process.stdout.write(`${describeProbe(report)}, ${report.generations} generations\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(report.rounds).toBeGreaterThan(1);
    expect(report.idlePacketsAtTheirGeneration).toBeGreaterThan(2);
    expect(report.idleCounted).toBe(report.idleFlows);
  }, 300_000);

  it('numbers of identities are used up, and nothing gets through meanwhile', async () => {
    const report = await probeIdentities(bed, { rounds: 30, sets: 20, numberLimit: 200 });
    process.stdout.write(`${describeProbe(report)}, ${report.identities} identities\n`);
    expect(report.violations).toEqual([]);
    expect(report.countedByKernel).toBe(report.arrived);
    expect(report.timesUsedUp).toBeGreaterThan(1);
  }, 300_000);
});
