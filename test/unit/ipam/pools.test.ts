// Recorded cases of which pools serve a request (test/conformance/model/ipam-pool-choice.json).

import { describe, expect, it, jest } from '@jest/globals';
import { choosePools, poolOf, selectsLabels } from '../../../lib/ipam/pools.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { IPPoolSpec } from '../../../lib/model/endpoint-types.ts';
import { loadCases } from '../../support/conformance-cases.ts';
import { IpamFixture } from '../../support/ipam-fixture.ts';

interface Case {
  readonly id: string;
  readonly op?: 'namespace-selects';
  readonly why: string;
  readonly pools?: readonly IPPoolSpec[];
  readonly family?: 4 | 6;
  readonly node?: Readonly<Record<string, string>>;
  readonly namespace?: Readonly<Record<string, string>>;
  readonly namespaceSelector?: string;
  readonly requested?: readonly string[];
  readonly expect: {
    readonly pools?: readonly string[];
    readonly anyOrder?: boolean;
    readonly error?: boolean;
    readonly selects?: boolean;
  };
}

describe('recorded cases of pool choice', () => {
  const cases = loadCases<Case>('model/ipam-pool-choice.json');
  it.each(cases.map((entry) => [entry.id, entry.why, entry] as const))('%s: %s', (_id, _why, entry) => {
    const answer = (): unknown => (entry.op === 'namespace-selects' ? select(entry) : choose(entry));
    if (entry.expect.error === true) {
      expect(answer).toThrow();
      return;
    }
    const wanted = entry.expect.selects ?? entry.expect.pools;
    const sort = (value: unknown): unknown =>
      entry.expect.anyOrder === true && Array.isArray(value) ? [...value].sort() : value;
    expect(sort(answer())).toEqual(sort(wanted));
  });
});

function select(entry: Case): boolean | undefined {
  return selectsLabels(entry.namespaceSelector ?? '', entry.namespace ?? {});
}

/** The chosen pools by their CIDRs as spelled in the case. */
function choose(entry: Case): string[] {
  const specs = entry.pools ?? [];
  const pools = specs.flatMap(
    (spec, index) =>
      poolOf({
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name: `pool-${index}` },
        spec,
      }) ?? [],
  );
  expect(pools).toHaveLength(specs.length);
  const chosen = choosePools(pools, {
    family: entry.family ?? 4,
    nodeLabels: entry.node ?? {},
    ...(entry.namespace === undefined ? {} : { namespaceLabels: entry.namespace }),
    requested: entry.requested ?? [],
  });
  return chosen.map(({ name }) => specs[Number(name.slice('pool-'.length))]?.cidr ?? '');
}

describe('a pool whose selector does not parse', () => {
  it('is left out, and said so once; the others serve', async () => {
    const whole = { cidr: '10.1.0.0/24', blockSize: 29 };
    const broken = { cidr: '10.0.0.0/24', blockSize: 29, nodeSelector: 'a ==' };
    const fixture = await IpamFixture.create({ pools: { a: broken, b: whole } });
    const logger = { ...silentLogger(), warn: jest.fn() };
    const ipam = fixture.ipam(fixture.datastore, { logger });
    for (const handle of ['one', 'two']) {
      const { v4 } = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle });
      expect(v4.addresses.map(({ pool }) => pool)).toEqual(['b']);
    }
    expect(logger.warn.mock.calls).toEqual([
      ['a pool is left out', { pool: 'a', reason: 'nodeSelector does not parse: a ==' }],
    ]);
  });

  it('keeps the blocks that hosts have of it', async () => {
    const spec = { cidr: '10.0.0.0/24', blockSize: 29 };
    const fixture = await IpamFixture.create({ pools: { a: spec } });
    const ipam = fixture.ipam();
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'h' });
    await fixture.setPools({ a: { ...spec, nodeSelector: 'a ==' }, b: { cidr: '10.1.0.0/24' } });
    await ipam.releaseByHandle('h');
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'i' });
    const blocks = await ipam.store.listBlocks(4);
    expect(blocks.map(({ value }) => value?.affinity)).toEqual(['host:a', 'host:a']);
  });
});
