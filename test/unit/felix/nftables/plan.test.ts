// Which transactions a change becomes (docs/dataplane.md "One change, up to five transactions"): each rule of the order has a
// test, as each broken one lets wrong verdicts through.

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import { renderTransaction, splitPreparation } from '../../../../agents/felix/nftables/render/operations.ts';
import { Renderer } from '../../../../agents/felix/nftables/render/renderer.ts';
import {
  endpointRemove,
  endpointUpdate,
  entity,
  hostEndpoint,
  hostPolicyUpdate,
  identityUpdate,
  memberUpdate,
  phasesOf,
  policyIdOf,
  policyUpdate,
  port,
  rule,
  selectorUpdate,
  TableBench,
  tableText,
  textOf,
  tierOf,
} from './support.ts';

const SOURCE = entity({ selectors: ['s:one'] });
const ALLOW_80 = rule(0, { source: SOURCE, destination: entity({ ports: [port(80)] }) });
const DENY = rule(0, { source: SOURCE, verdict: 'deny' });

const policyOf = (net: string): CalcMessage => policyUpdate([rule(0, { source: entity({ nets: [net] }) })]);
const natPool = (cidr: string): CalcMessage => ({ type: 'poolUpdate', pool: { cidr, natOutgoing: true } });
const spoofing = (...allowSpoofedSourcePrefixes: string[]): CalcMessage => {
  const update = endpointUpdate('a', '10.0.0.3', 2);
  if (update.type !== 'workloadEndpointUpdate') throw new Error('no endpoint');
  return { ...update, endpoint: { ...update.endpoint, allowSpoofedSourcePrefixes } };
};

function loaded(...rules: readonly (typeof ALLOW_80)[]): TableBench {
  const bench = new TableBench();
  bench.change(
    identityUpdate(1),
    identityUpdate(2),
    memberUpdate('10.0.0.2/32', 1),
    memberUpdate('10.0.0.3/32', 2),
    selectorUpdate('s:one', 1),
    policyUpdate(rules),
    endpointUpdate('a', '10.0.0.3', 2),
  );
  bench.nowMs += 2_000;
  // The other copy of the maps from interface to group follows.
  bench.change();
  return bench;
}

describe('a plan', () => {
  it('loads everything before the base chains lead to it', () => {
    const bench = new TableBench();
    const plan = bench.change(endpointUpdate('a', '10.0.0.3', 2));
    expect(phasesOf(plan)).toEqual(['prepare', 'generation']);
    expect(textOf(plan, 'prepare')).not.toContain('hook');
    expect(textOf(plan, 'generation')).toContain('type filter hook forward');
  });

  it('moves no generation for a new address of a known identity', () => {
    const plan = loaded(ALLOW_80).change(memberUpdate('10.0.0.9/32', 1));
    expect(plan.movedGeneration).toBe(false);
    expect(phasesOf(plan)).toEqual(['change']);
  });

  it('moves it for a new endpoint: a flow to its address was judged while that was nobody’s here', () => {
    const bench = loaded(ALLOW_80);
    const endpoint = bench.change(endpointUpdate('b', '10.0.0.4', 2), memberUpdate('10.0.0.4/32', 2));
    expect(endpoint.movedGeneration).toBe(true);
    expect(phasesOf(endpoint)).toEqual(['change+generation']);
  });

  it('moves it for a new address that a deny rule selects', () => {
    expect(loaded(DENY).change(memberUpdate('10.0.0.9/32', 1)).movedGeneration).toBe(true);
  });

  it('puts keys of a new identity there before an address leads to it, and takes the old ones a second later', () => {
    const bench = loaded(DENY, { ...ALLOW_80, ref: { ...ALLOW_80.ref, index: 1 } });
    const plan = bench.change(
      identityUpdate(3),
      selectorUpdate('s:one', 1, 3),
      memberUpdate('10.0.0.2/32', 3),
      { type: 'identityRemove', id: 1 },
    );
    expect(phasesOf(plan)).toEqual(['prepare', 'change+generation']);
    expect(textOf(plan, 'prepare')).toMatch(/add element inet calico m1_v1 \{ 3 \. 6 : 0x80010 \}/);
    expect(textOf(plan, 'change')).not.toContain('m1_v1');
    bench.change(selectorUpdate('s:one', 3));
    bench.nowMs += 500;
    expect(phasesOf(bench.change())).toEqual([]);
    bench.nowMs += 600;
    expect(textOf(bench.change(), 'cleanUp')).toContain('delete element inet calico m1_v1 { 1 . 6 }');
  });

  it('gives the generation with the change where only hash maps and rules change', () => {
    const plan = loaded(ALLOW_80).change(selectorUpdate('s:one'));
    expect(plan.movedGeneration).toBe(true);
    expect(phasesOf(plan)).toEqual(['change+generation']);
  });

  it('never gives the generation in the transaction that changes an interval', () => {
    const ranged = rule(0, { source: SOURCE, destination: entity({ ports: [port(8000, 8100)] }) });
    const bench = loaded(ranged);
    expect(phasesOf(bench.change(selectorUpdate('s:one')))).toEqual(['change', 'generation']);
    const wide = loaded(DENY);
    wide.change(identityUpdate(3), memberUpdate('10.1.0.0/24', 3), selectorUpdate('s:one', 1, 3));
    expect(phasesOf(wide.change(memberUpdate('10.2.0.0/24', 3)))).toEqual(['change', 'generation']);
  });

  describe('of a rule that names a network', () => {
    const naming = (net: string): CalcMessage =>
      policyUpdate([
        rule(0, { source: entity({ nets: [net] }), destination: entity({ ports: [port(80)] }) }),
      ]);
    const numberOf = (bench: TableBench, net: string): string =>
      bench.planner.programmed.sets.get('net4_v1')?.elements.get(net)?.value ?? 'none';

    it('divides the address space ahead of the rule: maps show intervals later than all else', () => {
      const bench = loaded(ALLOW_80);
      bench.change(naming('10.0.0.0/24'));
      const whole = numberOf(bench, '10.0.0.0/24');
      const plan = bench.change(naming('10.0.0.0/25'));
      expect(phasesOf(plan)).toEqual(['prepare', 'redivide', 'change+generation']);
      const part = numberOf(bench, '10.0.0.0/25');
      expect(textOf(plan, 'redivide')).toMatch(
        /^add table inet calico\ndelete element .* net4_v1 .*\nadd element /,
      );
      // The rule that goes lets both halves pass until it has gone.
      expect(textOf(plan, 'prepare')).toMatch(
        new RegExp(`add element inet calico m2_v1 \\{ ${part} \\. 6 \\. 80 : 0x\\w+ \\}`),
      );
      expect([part, numberOf(bench, '10.0.0.128/25')]).toEqual([expect.not.stringMatching(whole), whole]);
    });

    it('gives up the division in a change of its own, which moves no generation', () => {
      const bench = loaded(ALLOW_80);
      bench.change(naming('10.0.0.0/24'));
      const plan = bench.change(naming('10.0.0.0/25'));
      expect(bench.renderer.isUnsettled).toBe(true);
      expect(numberOf(bench, '10.0.0.128/25')).not.toBe('none');
      bench.nowMs += plan.cleanUpInMs ?? 0;
      const settling = bench.settle();
      expect(phasesOf(settling)).toEqual(['prepare', 'redivide', 'cleanUp']);
      expect(settling.movedGeneration).toBe(false);
      expect(numberOf(bench, '10.0.0.128/25')).toBe('none');
      expect(phasesOf(bench.settle())).toEqual([]);
      expect(bench.renderer.isUnsettled).toBe(false);
    });

    it('knows the numbers of the division before, as a packet may still find them', () => {
      const bench = loaded(ALLOW_80);
      bench.change(identityUpdate(3), naming('10.0.0.0/24'));
      const before = numberOf(bench, '10.0.0.0/24');
      const plan = bench.change(
        memberUpdate('10.0.0.0/23', 3),
        policyUpdate([rule(0, { source: entity({ nets: ['10.0.0.0/24'] }) })]),
      );
      expect(textOf(plan, 'prepare')).toMatch(
        new RegExp(`add element inet calico m3_v1 .*${before} \\. 6 : `),
      );
    });
  });

  it('makes new maps for an edited policy and rewrites the chain: no map ever changes its meaning', () => {
    const bench = loaded(ALLOW_80);
    const plan = bench.change(
      policyUpdate([rule(0, { source: SOURCE, destination: entity({ ports: [port(81)] }) })]),
    );
    expect(phasesOf(plan)).toEqual(['prepare', 'change+generation']);
    expect(textOf(plan, 'prepare')).toContain('add map inet calico m2_v1');
    expect(textOf(plan, 'change')).toMatch(
      /flush chain inet calico i1_v1\nadd rule inet calico i1_v1 .*@m2_v1/,
    );
    expect(plan.cleanUpInMs).toBe(1_000);
    bench.nowMs += 1_001;
    const cleanUp = textOf(bench.change(), 'cleanUp');
    expect(cleanUp).toContain('delete map inet calico m1_v1');
    expect(cleanUp).toContain('delete chain inet calico stamp_1_v1');
  });

  it('counts the second before a clean-up from the commit, not from the plan', () => {
    const bench = loaded(ALLOW_80);
    bench.commitMs = 1_500;
    bench.change(selectorUpdate('s:one'), policyUpdate([]));
    bench.commitMs = 0;
    expect(phasesOf(bench.change())).toEqual([]);
    bench.nowMs += 900;
    expect(phasesOf(bench.change())).toEqual([]);
    bench.nowMs += 100;
    expect(phasesOf(bench.change())).toEqual(['cleanUp']);
  });

  it('moves the generation when an endpoint goes, so that its address can be another’s', () => {
    const bench = loaded(ALLOW_80);
    const plan = bench.change(endpointRemove('a'), { type: 'memberRemove', net: '10.0.0.3/32' });
    expect(plan.movedGeneration).toBe(true);
    bench.nowMs += 1_001;
    const cleanUp = textOf(bench.change(), 'cleanUp');
    // The chain goes after the element that leads to it, and before the maps that it looks into.
    const order = ['grp_i_v1 { 1 }', 'delete chain inet calico i1_v1', 'delete map inet calico m1_v1'];
    expect(order.map((text) => cleanUp.indexOf(text))).toEqual(
      order.map((text) => cleanUp.indexOf(text)).sort((a, b) => a - b),
    );
    expect(order.every((text) => cleanUp.includes(text))).toBe(true);
  });

  it('empties a base chain that is not needed, and never deletes it', () => {
    const bench = loaded(ALLOW_80);
    bench.change({ type: 'poolUpdate', pool: { cidr: '10.0.0.0/16', natOutgoing: true } });
    const plan = bench.change({ type: 'poolUpdate', pool: { cidr: '10.0.0.0/16', natOutgoing: false } });
    expect(textOf(plan, 'generation')).toContain('flush chain inet calico postrouting');
    bench.nowMs += 1_001;
    expect(textOf(bench.change(), 'cleanUp')).not.toContain('delete chain inet calico postrouting');
  });

  it('never cuts a change: one too large for a transaction is left to a replacement', () => {
    const bench = loaded(DENY);
    const addresses = Array.from({ length: 1_500 }, (_, index) => `10.1.${index >> 8}.${index & 255}/32`);
    // New addresses alone are fewer operations than addresses that change hands: a deletion and an addition each.
    const added = bench.change(...addresses.map((net) => memberUpdate(net, 1)));
    expect(added.replaceBecause).toBeUndefined();
    expect(phasesOf(added)).toEqual(['change+generation']);
    const moved = bench.change(...addresses.map((net) => memberUpdate(net, 2)));
    expect(moved.replaceBecause).toBe('change too large for one transaction');
    const changes = moved.transactions.filter(({ phases }) => phases.includes('change'));
    expect(changes.map(({ operations }) => operations.length)).toEqual([3_000]);
  });

  describe('of a host endpoint that comes with another policy', () => {
    const forwarded = hostPolicyUpdate('forwarded', [ALLOW_80]);
    const host: CalcMessage = {
      type: 'hostEndpointUpdate',
      endpoint: hostEndpoint('eth0', { forwardTiers: [tierOf([policyIdOf('forwarded')])] }),
    };

    it('is one transaction, as their chains judge otherwise than before', () => {
      const plan = loaded(DENY).change(forwarded, host, memberUpdate('10.0.0.9/32', 1));
      expect(phasesOf(plan)).toContain('change+generation');
      expect(plan.transactions.find(({ phases }) => phases.includes('change'))?.isIndivisible).toBe(true);
      expect(plan.replaceBecause).toBeUndefined();
    });

    it('is left to a replacement where networks change, whose sets show new elements before new rules', () => {
      const network = identityUpdate(3);
      const bench = loaded(DENY);
      bench.change(network, memberUpdate('10.1.0.0/24', 3), selectorUpdate('s:one', 1, 3));
      const plan = bench.change(forwarded, host, memberUpdate('10.2.0.0/24', 3));
      expect(plan.replaceBecause).toBe('groups, host endpoints or settings change together with networks');
      expect(bench.change(memberUpdate('10.3.0.0/24', 3)).replaceBecause).toBeUndefined();
    });

    it('and a workload’s alone is not: its chains change in nothing but their number', () => {
      const plan = loaded(ALLOW_80).change(
        endpointUpdate('b', '10.0.0.4', 2),
        memberUpdate('10.0.0.4/32', 2),
      );
      expect(plan.changesSurroundings).toBe(false);
      expect(plan.transactions.every(({ isIndivisible }) => !isIndivisible)).toBe(true);
    });
  });

  describe('of endpoints that get other groups', () => {
    const other = policyIdOf('other');
    const regrouped = (name: string, address: string): CalcMessage =>
      endpointUpdate(name, address, 2, [tierOf([other])]);
    const groupsOf = (bench: TableBench, copy: string): Record<string, string> => {
      const elements = bench.planner.programmed.sets.get(`ep_i_${copy}_v1`)?.elements ?? new Map();
      return Object.fromEntries([...elements].map(([key, { value }]) => [key, value]));
    };
    const ledTo = (bench: TableBench): string | undefined =>
      /jump to_o_(\w)_v1/.exec(
        bench.planner.programmed.chains.get(`slow_o_${bench.generation}_v1`)?.rules.join('\n') ?? '',
      )?.[1];
    function two(): TableBench {
      const bench = loaded(ALLOW_80);
      bench.change(hostPolicyUpdate('other', [DENY]), endpointUpdate('b', '10.0.0.4', 2));
      bench.nowMs += 2_000;
      bench.change();
      return bench;
    }

    it('fills the copy that nothing leads to, and leads to it in one transaction: a packet asks twice', () => {
      const bench = two();
      const before = groupsOf(bench, 'a');
      expect([ledTo(bench), groupsOf(bench, 'b')]).toEqual(['a', before]);
      const plan = bench.change(regrouped('a', '10.0.0.3'), regrouped('b', '10.0.0.4'));
      expect(phasesOf(plan)).toEqual(['prepare', 'generation']);
      expect(plan.movedGeneration).toBe(true);
      expect(textOf(plan, 'prepare')).toContain('element inet calico ep_i_b_v1');
      expect(plan.transactions.flatMap(({ operations }) => operations)).not.toContainEqual(
        expect.objectContaining({ set: expect.objectContaining({ name: 'ep_i_a_v1' }) }),
      );
      expect([ledTo(bench), groupsOf(bench, 'a')]).toEqual(['b', before]);
      expect(Object.keys(groupsOf(bench, 'b')).sort()).toEqual(Object.keys(before).sort());
      expect(groupsOf(bench, 'b')).not.toEqual(before);
    });

    it('lets the other copy follow a second later, and back again', () => {
      const bench = two();
      const before = groupsOf(bench, 'a');
      bench.change(regrouped('a', '10.0.0.3'), regrouped('b', '10.0.0.4'));
      bench.nowMs += 1_001;
      expect(textOf(bench.change(), 'cleanUp')).toContain('add element inet calico ep_i_a_v1');
      expect(groupsOf(bench, 'a')).toEqual(groupsOf(bench, 'b'));
      bench.change(endpointUpdate('a', '10.0.0.3', 2), endpointUpdate('b', '10.0.0.4', 2));
      expect([ledTo(bench), Object.keys(groupsOf(bench, 'a')).sort()]).toEqual([
        'a',
        Object.keys(before).sort(),
      ]);
      expect(groupsOf(bench, 'b')).not.toEqual(groupsOf(bench, 'a'));
    });

    it('brings a copy up to date that is led to again before it has followed', () => {
      const bench = two();
      bench.change(regrouped('a', '10.0.0.3'));
      bench.change(regrouped('b', '10.0.0.4'), endpointUpdate('c', '10.0.0.5', 2));
      expect(ledTo(bench)).toBe('a');
      const groups = groupsOf(bench, 'a');
      expect([Object.keys(groups).sort(), groups['"calia"']]).toEqual([
        ['"calia"', '"calib"', '"calic"'],
        groups['"calib"'],
      ]);
    });

    it('fills that copy ahead again and again, also when the chains of before have gone', () => {
      const bench = two();
      for (let round = 0; round < 3; round++) {
        const there = [regrouped('a', '10.0.0.3'), regrouped('b', '10.0.0.4')];
        const back = [endpointUpdate('a', '10.0.0.3', 2), endpointUpdate('b', '10.0.0.4', 2)];
        for (const messages of [there, back]) {
          const plan = bench.change(...messages);
          expect(phasesOf(plan)).toEqual(['prepare', 'generation']);
          bench.nowMs += 1_001;
          expect(textOf(bench.change(), 'cleanUp')).toContain('flush chain inet calico slow_o_');
          expect(groupsOf(bench, 'a')).toEqual(groupsOf(bench, 'b'));
        }
      }
    });

    it.each(['goes first', 'comes first'])(
      'counts an interface that passes to another endpoint: it %s',
      (order) => {
        const bench = two();
        const { endpoint } = regrouped('c', '10.0.0.5') as Extract<
          CalcMessage,
          { type: 'workloadEndpointUpdate' }
        >;
        const comes: CalcMessage = {
          type: 'workloadEndpointUpdate',
          endpoint: { ...endpoint, interfaceName: 'calia' },
        };
        const messages = [endpointRemove('a'), comes];
        const plan = bench.change(...(order === 'goes first' ? messages : messages.reverse()));
        expect([ledTo(bench), phasesOf(plan)[0]]).toEqual(['b', 'prepare']);
        expect(textOf(plan, 'prepare')).toContain('ep_i_b_v1');
      },
    );

    it('is one transaction with what else moves verdicts', () => {
      const plan = two().change(regrouped('a', '10.0.0.3'), memberUpdate('10.0.0.9/32', 1));
      expect(phasesOf(plan)).toEqual(['prepare', 'change+generation']);
      expect(plan.transactions.at(-1)?.isIndivisible).toBe(true);
    });
  });

  it.each<[string, CalcMessage, CalcMessage, CalcMessage]>([
    ['networks of rules', policyOf('10.0.0.0/24'), policyUpdate([ALLOW_80]), policyOf('10.0.0.0/25')],
    ['pools', natPool('10.0.0.0/16'), { type: 'poolRemove', cidr: '10.0.0.0/16' }, natPool('10.1.0.0/16')],
    ['further sources', spoofing('10.9.0.0/16'), spoofing(), spoofing('10.8.0.0/16')],
  ])('takes away what a set held that comes back within its second: %s', (_what, first, without, second) => {
    const bench = loaded(ALLOW_80);
    bench.change({ type: 'configUpdate', config: { workloadSourceSpoofing: 'Any' } }, first);
    bench.nowMs += 2_000;
    bench.change(without);
    bench.nowMs += 500;
    bench.change(second);
    const { sets } = bench.planner.programmed;
    for (const [name, set] of bench.renderer.table.sets)
      expect([name, ...(sets.get(name)?.elements.keys() ?? [])].sort()).toEqual(
        [name, ...set.elements.keys()].sort(),
      );
  });

  it('does nothing where nothing changed', () => {
    const bench = loaded(ALLOW_80);
    bench.change();
    expect(phasesOf(bench.change(selectorUpdate('s:one', 1), policyUpdate([ALLOW_80])))).toEqual([]);
  });

  it('leaves what an incremental history and a start from nothing agree on, names of maps aside', () => {
    const bench = loaded(DENY);
    bench.change(policyUpdate([ALLOW_80]));
    bench.change(selectorUpdate('s:one', 1, 2));
    bench.change(endpointUpdate('b', '10.0.0.4', 2), memberUpdate('10.0.0.4/32', 2));
    bench.nowMs += 5_000;
    bench.change();
    bench.nowMs += 5_000;
    bench.change();
    expect(tableText(bench.planner.programmed)).toBe(tableText(bench.renderer.table));
    const anew = new Renderer(bench.state, { epoch: 1, generation: bench.generation });
    anew.update(bench.state.everything());
    const plain = (text: string): string =>
      text.replace(/\bm\d+_v1/g, 'm').replace(/0x[48]00[0-9a-f]+/g, 'id');
    const sorted = (text: string): readonly string[] => plain(text).split('\n').sort();
    expect(sorted(tableText(bench.renderer.table))).toEqual(sorted(tableText(anew.table)));
  });
});

describe('a transaction', () => {
  it('is cut to the limit, rules last', () => {
    const bench = new TableBench();
    bench.state.applyAll([endpointUpdate('a', '10.0.0.3', 2)]);
    bench.renderer.update(bench.state.takeChanges());
    bench.planner.note(bench.renderer.table.takeTouched());
    const [prepare] = bench.planner.plan(bench.renderer.table, 0).transactions;
    const parts = splitPreparation(prepare?.operations ?? [], 10);
    expect(parts.every((part) => part.length <= 10)).toBe(true);
    const types = parts.flat().map(({ type }) => type);
    expect(types.indexOf('setRules')).toBe(types.length - types.filter((type) => type === 'setRules').length);
    expect(renderTransaction(parts[0] ?? [])).toMatch(/^add table inet calico\n/);
  });
});
