// The rendered table: shapes of lookups, negations, order of verdicts, numbers (docs/dataplane.md "Rendering").

import { describe, expect, it } from '@jest/globals';
import type { CompiledRule } from '../../../../lib/policy/compiled.ts';
import {
  endpointUpdate,
  entity,
  identityUpdate,
  memberUpdate,
  POLICY,
  policyUpdate,
  port,
  rule,
  selectorUpdate,
  TableBench,
  tierOf,
} from './support.ts';

const WORLD = [
  identityUpdate(1),
  identityUpdate(2, [{ name: 'http', protocol: 6, port: 8080 }]),
  memberUpdate('10.0.0.2/32', 1),
  memberUpdate('10.0.0.3/32', 2),
  selectorUpdate('s:one', 1),
  selectorUpdate('s:both', 1, 2),
];

/** The rules of the endpoint's ingress chain, without comments, and the content of what they look into. */
function rendered(rules: readonly CompiledRule[]): {
  readonly rules: readonly string[];
  readonly sets: Record<string, readonly string[]>;
} {
  const bench = new TableBench();
  bench.change(...WORLD, policyUpdate(rules), endpointUpdate('a', '10.0.0.3', 2));
  const { table } = bench.renderer;
  const value = table.sets.get('ep_i_a_v1')?.elements.get('"calia"')?.value;
  const chain = table.chains.get(`i${value}_v1`);
  const sets: Record<string, readonly string[]> = {};
  for (const [name, set] of table.sets) {
    if (/^m\d+_/.test(name))
      sets[name] = [...set.elements].map(([key, element]) => `${key} : ${element.value}`);
  }
  return { rules: (chain?.rules ?? []).map((text) => text.replace(/ comment ".*"$/, '')), sets };
}

describe('a rendered table', () => {
  it('says of every chain and map what it is for', () => {
    const bench = new TableBench();
    const pool = { cidr: '10.0.0.0/16', natOutgoing: true };
    bench.change(...WORLD, policyUpdate([rule(0)]), endpointUpdate('a', '10.0.0.3', 2), {
      type: 'poolUpdate',
      pool,
    });
    const { chains, sets } = bench.renderer.table;
    expect(chains.has('postrouting')).toBe(true);
    const silent = [...chains.values(), ...sets.values()].filter(
      ({ declaration }) => !/comment "[^"]+";/.test(declaration),
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
  });
});

describe('a rendered group', () => {
  it('folds selectors and ports into one lookup for both families, and a miss ends the rule', () => {
    const first = rule(0, {
      source: entity({ selectors: ['s:one'] }),
      destination: entity({ ports: [port(80, 81)] }),
    });
    const second = rule(1, {
      source: entity({ selectors: ['s:both'] }),
      destination: entity({ ports: [port(80)] }),
    });
    const { rules, sets } = rendered([first, second]);
    expect(rules).toEqual([
      'meta l4proto 6 meta mark set ct original ip saddr map @id4_v1 meta mark set meta mark . meta l4proto . ct reply proto-src map @m1_v1 return',
      'meta l4proto 6 meta mark set ct original ip6 saddr map @id6_v1 meta mark set meta mark . meta l4proto . ct reply proto-src map @m1_v1 return',
      'meta mark set 0x80012 goto denied_v1',
    ]);
    // The earlier rule keeps the key that both give.
    expect(sets).toEqual({ m1_v1: ['1 . 6 . 80 : 0x40010', '1 . 6 . 81 : 0x40010', '2 . 6 . 80 : 0x40011'] });
  });

  it('puts a wide range into an interval map, as disjoint ranges with the earlier rule’s id', () => {
    const side = entity({ selectors: ['s:one'] });
    const first = rule(0, { source: side, destination: entity({ ports: [port(8000, 8100)] }) });
    const second = rule(1, { source: side, destination: entity({ ports: [port(7000, 9000)] }) });
    expect(Object.values(rendered([first, second]).sets)[0]).toEqual([
      '1 . 6 . 8000-8100 : 0x40010',
      '1 . 6 . 7000-7999 : 0x40011',
      '1 . 6 . 8101-9000 : 0x40011',
    ]);
  });

  it('looks networks and their exceptions up as classes of disjoint intervals', () => {
    const bench = new TableBench();
    const nets = entity({ nets: ['10.0.0.0/8'], notNets: ['10.1.0.0/16'] });
    bench.change(...WORLD, policyUpdate([rule(0, { source: nets })]), endpointUpdate('a', '10.0.0.3', 2));
    const { table } = bench.renderer;
    const intervals = [...(table.sets.get('net4_v1')?.elements ?? [])].map(([key, { value }]) => [
      key,
      Number(value),
    ]);
    const outside = 0x100000;
    expect(intervals).toEqual([
      ['0.0.0.0-9.255.255.255', outside],
      ['10.0.0.0/16', outside + 1],
      ['10.1.0.0/16', outside + 2],
      ['10.2.0.0-10.255.255.255', outside + 1],
      ['11.0.0.0-255.255.255.255', outside],
    ]);
    expect([...(table.sets.get('m1_v1')?.elements.keys() ?? [])]).toEqual([`${outside + 1} . 6`]);
  });

  it('makes a positive lookup of a negated selector: every class that it does not match', () => {
    const bench = new TableBench();
    const source = entity({ notSelectors: ['s:one'] });
    bench.change(...WORLD, policyUpdate([rule(0, { source })]), endpointUpdate('a', '10.0.0.3', 2));
    const { table } = bench.renderer;
    const classOf = (interval: string): string | undefined =>
      table.sets.get('all4_v1')?.elements.get(interval)?.value;
    const matched = [...(table.sets.get('m1_v1')?.elements.keys() ?? [])];
    expect(matched).toContain(`${classOf('10.0.0.3')} . 6`);
    expect(matched).toContain(`${classOf('0.0.0.0-10.0.0.1')} . 6`);
    expect(matched).not.toContain(`${classOf('10.0.0.2')} . 6`);
    const rules = [...table.chains.values()].flatMap((chain) => chain.rules);
    // One that misses by mistake may only deny.
    expect(rules.filter((text) => /!= @/.test(text) && !/ goto (denied|dropped)_v1$/.test(text))).toEqual([]);
  });

  it('resolves named ports by the endpoint that is asked for them', () => {
    const named = { name: 'http', protocol: 6, selector: 's:both' };
    const { rules, sets } = rendered([
      rule(0, { source: entity({ selectors: ['s:one'] }), destination: entity({ namedPorts: [named] }) }),
    ]);
    // First the destination's port by its own identity, then the source: both must be found.
    expect(rules[0]).toBe(
      'meta l4proto 6 meta mark set ct reply ip saddr map @id4_v1 meta mark . meta l4proto . ct reply proto-src @m1_v1 meta mark set ct original ip saddr map @id4_v1 meta mark set meta mark . meta l4proto map @m2_v1 return',
    );
    expect(sets).toEqual({ m1_v1: ['2 . 6 . 8080-8080 : '], m2_v1: ['1 . 6 : 0x40010'] });
  });

  it('never matches a rule that looks at ports of a protocol without any', () => {
    expect(
      rendered([rule(0, { protocol: 1, destination: entity({ ports: [port(80)] }) })]).rules,
    ).toHaveLength(1);
  });

  it('judges the answer to an echo request with the request', () => {
    const { rules } = rendered([rule(0, { protocol: 1, icmp: { type: 8, code: undefined } })]);
    expect(rules.slice(0, 2)).toEqual([
      'icmp type 8 meta mark set 0x40010 return',
      'icmp type 0 meta mark set 0x40010 return',
    ]);
  });

  it('ends a run where the action changes, so that order is kept between runs', () => {
    const source = entity({ selectors: ['s:one'] });
    const { rules, sets } = rendered([
      rule(0, { source }),
      rule(1, { source, verdict: 'deny' }),
      rule(2, { source: entity({ selectors: ['s:both'] }) }),
    ]);
    expect(rules.map((text) => text.replace(/.* map @/, ''))).toEqual([
      'm1_v1 return',
      'm1_v1 return',
      'm2_v1 goto denied_v1',
      'm2_v1 goto denied_v1',
      'm3_v1 return',
      'm3_v1 return',
      'meta mark set 0x80013 goto denied_v1',
    ]);
    expect(sets['m2_v1']).toEqual(['1 . 6 : 0x80011']);
  });

  it('passes on to the chain after the tier', () => {
    const bench = new TableBench();
    const other = { ...POLICY, name: 'q' };
    bench.change(
      ...WORLD,
      policyUpdate([rule(0, { verdict: 'pass', protocol: undefined })]),
      policyUpdate(
        [
          rule(0, {
            protocol: undefined,
            ref: { type: 'policy', policy: other, direction: 'ingress', index: 0 },
          }),
        ],
        other,
      ),
      endpointUpdate('a', '10.0.0.3', 2, [tierOf([POLICY], 'first'), tierOf([other])]),
    );
    const { chains } = bench.renderer.table;
    const plain = (name: string): readonly string[] | undefined =>
      chains.get(name)?.rules.map((text) => text.replace(/ comment ".*"$/, ''));
    expect(plain('i1_v1')).toEqual([
      'meta mark set 0x10 goto i1t1_v1',
      'meta mark set 0x80011 goto denied_v1',
    ]);
    expect(plain('i1t1_v1')?.[0]).toBe('meta mark set 0x40012 return');
  });

  it('denies everything where a named policy or profile is not there', () => {
    const bench = new TableBench();
    bench.change(endpointUpdate('a', '10.0.0.3', 2));
    expect(bench.renderer.table.chains.get('i1_v1')?.rules[0]).toMatch(
      /^meta mark set 0x80002 goto denied_v1/,
    );
  });
});

describe('numbers', () => {
  it('leave the verdict bits clear, and rule ids keep what they stand for', () => {
    const bench = new TableBench();
    bench.change(...WORLD, policyUpdate([rule(0)]), endpointUpdate('a', '10.0.0.3', 2));
    bench.change(policyUpdate([rule(0, { destination: entity({ ports: [port(80)] }) })]));
    const meanings = [...bench.renderer.ruleMeanings].filter(([id]) => id >= 16);
    // The edited rule is another one: records of the first still resolve.
    expect(meanings.map(([, meaning]) => meaning.type)).toEqual(
      ['rule', 'endOfTier', 'rule', 'builtIn'].slice(0, meanings.length),
    );
    for (const [id] of meanings) expect(id & 0xc0000).toBe(0);
  });

  it('are never given out twice', () => {
    const bench = new TableBench();
    const seen = new Map<string, string>();
    for (let round = 1; round < 50; round++) {
      bench.change(identityUpdate(round), memberUpdate('10.0.0.2/32', round), selectorUpdate('s:one', round));
      const value = bench.renderer.table.sets.get('id4_v1')?.elements.get('10.0.0.2')?.value ?? '';
      expect(seen.get(value)).toBeUndefined();
      seen.set(value, String(round));
      bench.change({ type: 'identityRemove', id: round - 1 });
    }
  });
});

describe('a described table', () => {
  it('resolves rule ids, identities and classes', () => {
    const bench = new TableBench();
    const source = entity({ selectors: ['s:one'] });
    bench.change(
      { type: 'identityUpdate', identity: { id: 1, labels: { app: 'web' }, ports: [] } },
      memberUpdate('10.0.0.2/32', 1),
      selectorUpdate('s:one', 1),
      policyUpdate([
        rule(0, { source, destination: entity({ ports: [port(80)] }) }),
        rule(1, { source: entity({ nets: ['10.0.0.0/8'] }) }),
      ]),
      endpointUpdate('a', '10.0.0.3', 2),
    );
    const description = bench.renderer.describe();
    const ingress = description.groups.find(({ direction }) => direction === 'ingress');
    expect(ingress?.endpoints).toEqual(['n1/k8s/red/a/eth0']);
    expect(ingress?.lookups.flatMap(({ entries }) => entries)).toEqual([
      '1 {app=web} . 6 . 80 → 16 allow by NetworkPolicy/red/p, ingress rule 1',
      '1048577 10.0.0.0/8 . 6 → 17 allow by NetworkPolicy/red/p, ingress rule 2',
    ]);
    expect(ingress?.chains[0]?.rules.at(-1)).toContain(
      '(18 end of tier default, ingress, of NetworkPolicy/red/p)',
    );
  });
});
