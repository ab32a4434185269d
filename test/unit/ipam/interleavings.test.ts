// Many allocators on one datastore in random interleavings, with lost answers, late writes, refused writes, clients that
// die, and clients that write key by key as Calico's do and die half-way: no address doubled, none lost for good.

import { beforeAll, describe, expect, it } from '@jest/globals';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { type InterleavingOutcome, playInterleaving } from '../../support/ipam-interleaving.ts';

/** Part of a failing case's name; the same seed plays the same history. */
const SEEDS = Array.from({ length: 30 }, (_, index) => 20_261_125 + index);
const ALL_PLAYED_MS = 60_000;

describe('interleaved allocators', () => {
  const outcomes = new Map<number, InterleavingOutcome>();

  beforeAll(async () => {
    for (const seed of SEEDS) {
      const datastore = new MemoryDatastore();
      outcomes.set(seed, await playInterleaving(datastore, seed));
      await datastore.close();
    }
  }, ALL_PLAYED_MS);

  it.each(SEEDS)('seed %i: no address is doubled, none is lost', (seed) => {
    expect(outcomes.get(seed)?.violations).toEqual([]);
    expect(outcomes.get(seed)?.assigned).toBeGreaterThan(0);
  });

  it.each(['conflicts', 'unknownOutcomes', 'crashes', 'exhausted', 'borrowed', 'halfStates'] as const)(
    'these histories have %s in them',
    (name) => {
      const total = [...outcomes.values()].reduce((sum, outcome) => sum + outcome[name], 0);
      expect(total).toBeGreaterThan(10);
    },
  );
});
