// Every network policy case with real packets through the kernel: allowed is proved by an answer, denied by the kernel's own
// count of what it denied; a probe that shows neither is a failure.

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { loadNetpolCases } from '../../support/netpol-case.ts';
import { PRIORITY_SCRATCH } from './support/calc-feed.ts';
import { NetpolBed } from './support/netpol-bed.ts';

const cases = loadNetpolCases();

describe('network policy conformance in the kernel', () => {
  let bed: NetpolBed;
  beforeAll(async () => {
    const nodes = new Map(cases.flatMap(({ cluster }) => cluster.nodes.map((node) => [node.name, node])));
    bed = await NetpolBed.create([...nodes.values()]);
  });
  afterEach(() => bed.end());
  afterAll(() => bed?.close());

  it.each(cases)(
    '$id: $title',
    async (netpolCase) => {
      const world = await bed.begin(netpolCase);
      let probeCount = 0;
      for (const step of netpolCase.steps) {
        world.apply(step);
        const probes = world.probes(step);
        probeCount += probes.length;
        const name = ({ from, to, protocol, port }: (typeof probes)[number]): string =>
          `${from} → ${to} ${protocol} ${port ?? ''}`;
        const stated = probes.map((probe) => `${name(probe)}: ${probe.isAllowed ? 'allowed' : 'denied'}`);
        // With the packet mark as scratch; the last step's with the packet's priority too.
        const forms = step === netpolCase.steps.at(-1) ? [{}, PRIORITY_SCRATCH] : [{}];
        for (const settings of forms) {
          bed.settings = settings;
          await bed.settle(world);
          const verdicts = await bed.probe(probes);
          const seen = probes.map((probe, index) => `${name(probe)}: ${verdicts[index]}`);
          const what = { step: step.name, settings };
          expect({ ...what, seen }).toEqual({ ...what, seen: stated });
        }
      }
      expect(probeCount).toBeGreaterThan(0);
    },
    120_000,
  );
});
