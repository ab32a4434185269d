// Recorded cases of which pools serve a request (test/conformance/model/ipam-pool-choice.json).

import { describe, expect, it } from '@jest/globals';
import { choosePools, poolOf, selectsLabels } from '../../../lib/ipam/pools.ts';
import type { IPPoolSpec } from '../../../lib/model/endpoint-types.ts';
import { loadCases } from '../../support/conformance-cases.ts';

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

function select(entry: Case): boolean {
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
