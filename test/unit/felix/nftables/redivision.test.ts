// Rules that name networks come and go, and the address space is redivided ahead of them or after (docs/dataplane.md "One change, up to
// five transactions"): whatever the order, each commit leaves addresses with the verdict of before or of after.

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import { record } from '../../../../agents/felix/nftables/render/operations.ts';
import { MOST_LINGERING } from '../../../../agents/felix/nftables/render/peers.ts';
import { Renderer } from '../../../../agents/felix/nftables/render/renderer.ts';
import type { NftTable } from '../../../../agents/felix/nftables/render/table.ts';
import type { CompiledRule } from '../../../../lib/policy/compiled.ts';
import { Draw } from '../../../support/policy-fuzz/draw.ts';
import { judge, missingSets } from './chain-judge.ts';
import {
  endpointUpdate,
  entity,
  identityUpdate,
  memberUpdate,
  phasesOf,
  policyUpdate,
  port,
  rule,
  selectorUpdate,
  TableBench,
} from './support.ts';

const SEED = 20261126;
const HISTORIES = 40;
const STEPS = 30;
const NETS = [
  ...['10.1.0.0/16', '10.1.0.0/24', '10.1.0.0/25', '10.1.0.128/25', '10.1.1.0/24'],
  ...['10.0.0.0/8', '0.0.0.0/0', '10.1.0.7/32', '10.2.0.0/16'],
];
const ADDRESSES = [
  ...['10.1.0.1', '10.1.0.7', '10.1.0.130', '10.1.1.1', '10.1.2.1'],
  ...['10.2.0.1', '10.3.0.1', '11.0.0.1', '10.0.0.2'],
];
const SELECTORS: Readonly<Record<string, readonly number[]>> = { 's:a': [1, 3], 's:b': [2, 3], 's:c': [4] };
const WEB = { ports: [port(80)] };

const LOAD: readonly CalcMessage[] = [
  ...[1, 2, 3, 4, 9].map((id) => identityUpdate(id)),
  memberUpdate('10.0.0.3/32', 9),
  ...[1, 4, 2, 3].map((id, index) => memberUpdate(`10.0.0.${index + 12}/32`, id)),
  ...Object.entries(SELECTORS).map(([selector, ids]) => selectorUpdate(selector, ...ids)),
  endpointUpdate('a', '10.0.0.3', 9),
];

const verdictsIn = (table: NftTable): string => {
  const group = [...table.chains.keys()].find((name) => /^i\d+_v1$/.test(name)) ?? '';
  return ADDRESSES.map((source) => judge(table, group, { source, port: 80 })).join(' ');
};

/** What a start from nothing would program. */
function wantedBy(bench: TableBench): string {
  const anew = new Renderer(bench.state, { epoch: 1, generation: 1 });
  anew.update(bench.state.everything());
  return verdictsIn(anew.table);
}

function drawRule(draw: Draw, index: number): CompiledRule {
  const net = (): string => draw.one(NETS);
  const selector = (): string => draw.one(Object.keys(SELECTORS));
  const source = draw.one([
    { nets: [net()] },
    { nets: [net(), net()] },
    { notNets: [net()] },
    { nets: [net()], notNets: [net()] },
    { selectors: [selector()] },
    { notSelectors: [selector()] },
    { selectors: [selector()], nets: [net()] },
  ]);
  const destination = draw.one([{}, WEB, { ports: [port(70, 90)] }]);
  const verdict = draw.one(['allow', 'deny'] as const);
  return rule(index, { verdict, source: entity(source), destination: entity(destination) });
}

describe('networks of rules that change at random', () => {
  it(`never bring another verdict than that of before or after (seed ${SEED})`, () => {
    const draw = new Draw(SEED);
    const seen = { redivide: 0, change: 0, settled: 0 };
    for (let history = 0; history < HISTORIES; history++) {
      const bench = new TableBench();
      bench.change(...LOAD, policyUpdate([drawRule(draw, 0)]));
      for (let step = 1; step <= STEPS; step++) {
        const before = verdictsIn(bench.planner.programmed);
        const rules = Array.from({ length: 1 + draw.below(3) }, () => drawRule(draw, step));
        const watched: string[] = [];
        bench.onCommit = (phases, operations) => {
          record(bench.planner.programmed, operations);
          if (phases.includes('redivide')) seen.redivide++;
          if (phases.includes('change')) seen.change++;
          watched.push(`${phases.join('+')}: ${verdictsIn(bench.planner.programmed)}`);
          expect(missingSets(bench.planner.programmed)).toEqual([]);
        };
        bench.change(policyUpdate(rules));
        const after = wantedBy(bench);
        const isUnmoved = watched.map((each) => /^(prepare|redivide):/.test(each));
        expect(watched).toEqual(
          watched.map((each, index) =>
            each.replace(/: .*/, `: ${isUnmoved[index] === true ? before : after}`),
          ),
        );
        bench.nowMs += draw.one([10, 300, 1_001, 2_000]);
        while (bench.renderer.isUnsettled && draw.below(3) > 0) {
          seen.settled++;
          expect(bench.settle().movedGeneration).toBe(false);
          expect(verdictsIn(bench.planner.programmed)).toBe(after);
        }
      }
    }
    process.stdout.write(`${JSON.stringify(seen)}\n`);
    expect(Math.min(seen.redivide, seen.change, seen.settled)).toBeGreaterThan(100);
  });
});

describe('a division', () => {
  it('that is needed no more takes the rules with it that looked into it', () => {
    const bench = new TableBench();
    const selecting = rule(0, { source: entity({ selectors: ['s:a'] }), destination: entity(WEB) });
    bench.change(...LOAD, policyUpdate([selecting]), memberUpdate('10.1.0.0/24', 3));
    expect(verdictsIn(bench.planner.programmed).split(' ')[0]).toBe('allow');
    const plan = bench.change({ type: 'memberRemove', net: '10.1.0.0/24' });
    expect(phasesOf(plan)).toEqual(['change+generation']);
    expect(verdictsIn(bench.planner.programmed).split(' ')[0]).toBe('deny');
    bench.nowMs += 1_001;
    bench.settle();
    expect(missingSets(bench.planner.programmed)).toEqual([]);
    bench.change(policyUpdate([selecting, rule(1, { source: entity({ selectors: ['s:b'] }) })]));
    expect(missingSets(bench.planner.programmed)).toEqual([]);
  });

  it('that would linger by too many networks goes with the rules, not ahead of them', () => {
    const nets = Array.from(
      { length: MOST_LINGERING + 1 },
      (_, index) => `10.${index >> 8}.${index & 255}.0/24`,
    );
    const others = rule(1, { source: entity({ notNets: nets }), destination: entity(WEB) });
    const bench = new TableBench();
    bench.change(...LOAD, policyUpdate([rule(0, { verdict: 'deny', source: entity({ nets }) }), others]));
    const plan = bench.change(
      policyUpdate([rule(0, { verdict: 'deny', source: entity({ nets: ['10.0.0.0/26'] }) })]),
    );
    expect(phasesOf(plan)).toEqual(['prepare', 'change', 'generation']);
    expect(bench.renderer.table.sets.get('net4_v1')?.elements.size).toBe(3);
  });

  it('gives up networks in portions that are transactions', () => {
    const nets = Array.from({ length: 600 }, (_, index) => `10.${index >> 8}.${index & 255}.0/25`);
    const naming = (named: readonly string[]): CalcMessage =>
      policyUpdate([
        rule(0, { source: entity({ nets: [...named] }) }),
        rule(1, { source: entity({ notSelectors: ['s:a'] }) }),
      ]);
    const bench = new TableBench();
    bench.change(...LOAD, naming(nets));
    bench.change(naming(['10.0.0.0/25']));
    const portions: number[] = [];
    for (let settled = 0; bench.renderer.isUnsettled && settled < 10; settled++) {
      const plan = bench.settle();
      expect(plan.replaceBecause).toBeUndefined();
      portions.push(plan.transactions.filter(({ phases }) => phases.includes('redivide')).length);
    }
    expect(portions).toEqual([1, 1, 1, 0]);
    expect(bench.renderer.table.sets.get('net4_v1')?.elements.size).toBe(3);
  });
});
