// Recorded histories of allocation (test/conformance/model/ipam-scenarios.json) on the in-memory datastore.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MemoryDatastore } from '../../../lib/datastore/memory/memory-datastore.ts';
import { loadCases } from '../../support/conformance-cases.ts';
import { playScenario, type ScenarioCase } from '../../support/ipam-scenario.ts';

describe('recorded histories of allocation', () => {
  const cases = loadCases<ScenarioCase>('model/ipam-scenarios.json');

  it.each(cases.map((scenario) => [scenario.id, scenario.name, scenario] as const))(
    '%s: %s',
    async (_id, _name, scenario) => {
      const datastore = new MemoryDatastore();
      try {
        await playScenario(datastore, scenario);
      } finally {
        await datastore.close();
      }
    },
  );

  it('leaves none of the IPAM cases waiting', () => {
    const waiting: unknown = JSON.parse(readFileSync('test/conformance/model/ipam-waiting.json', 'utf8'));
    expect(waiting).toHaveLength(0);
  });
});
