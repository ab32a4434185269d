// What becomes of a packet that policy denies (nftablesFilterDenyAction), and where the kernel or Calico lets it be answered.

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import type { NftTable } from '../../../../agents/felix/nftables/render/table.ts';
import {
  endpointUpdate,
  entity,
  hostEndpoint,
  hostPolicyUpdate,
  phasesOf,
  policyIdOf,
  policyUpdate,
  port,
  rule,
  TableBench,
  tierOf,
} from './support.ts';

const REJECT = 'meta mark set 0 reject with icmpx port-unreachable';
const setting = (value: string): CalcMessage => ({
  type: 'configUpdate',
  config: { nftablesFilterDenyAction: value },
});
const DENY = { ...rule(0, { destination: entity({ ports: [port(80)] }) }), verdict: 'deny' } as const;
/** A workload, and a host endpoint with policy of every stage. */
const EVERYTHING: readonly CalcMessage[] = [
  { type: 'poolUpdate', pool: { cidr: '10.65.0.0/16', natOutgoing: true } },
  policyUpdate([DENY, rule(1)]),
  endpointUpdate('a', '10.65.0.2', 1),
  hostPolicyUpdate('in', [DENY]),
  hostPolicyUpdate('forward', [DENY], { applyOnForward: true }),
  hostPolicyUpdate('pre', [DENY], { preDnat: true }),
  hostPolicyUpdate('raw', [DENY], { untracked: true }),
  {
    type: 'hostEndpointUpdate',
    endpoint: hostEndpoint('eth0', {
      tiers: [tierOf([policyIdOf('in')])],
      forwardTiers: [tierOf([policyIdOf('forward')])],
      preDnatTiers: [tierOf([policyIdOf('pre')])],
      untrackedTiers: [tierOf([policyIdOf('raw')])],
    }),
  },
];

function made(...messages: readonly CalcMessage[]): TableBench {
  const bench = new TableBench();
  bench.change(...EVERYTHING, ...messages);
  return bench;
}
const rulesOf = ({ renderer }: TableBench, chain: string): readonly string[] =>
  renderer.table.chains.get(chain)?.rules ?? [];

/** Chains that a packet can come to from this one, by rules or by a map of verdicts. */
function reachable(table: NftTable, from: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(from)) return seen;
  seen.add(from);
  for (const text of table.chains.get(from)?.rules ?? []) {
    const map = / vmap @(\S+)/.exec(text)?.[1];
    const led = map === undefined ? [] : [...(table.sets.get(map)?.elements.values() ?? [])];
    const targets = [text, ...led.map(({ value }) => value)].flatMap(
      (each) => /(?:goto|jump) (\S+)/.exec(each)?.[1] ?? [],
    );
    for (const target of targets) reachable(table, target, seen);
  }
  return seen;
}

/** Base chains from which a packet can come to a rule that rejects. */
function rejecting({ renderer: { table } }: TableBench): readonly string[] {
  const bases = [...table.chains.values()].filter(({ role }) => role === 'base').map(({ name }) => name);
  const rejects = (chain: string): boolean =>
    table.chains.get(chain)?.rules.some((text) => text.includes('reject')) === true;
  return bases.filter((base) => [...reachable(table, base)].some(rejects)).sort();
}

describe('what policy denies', () => {
  it('is dropped where nothing is said, and with Drop', () => {
    for (const bench of [made(), made(setting('Drop'))]) {
      expect(rejecting(bench)).toEqual([]);
      expect(rulesOf(bench, 'denied_v1').at(-1)).toBe('counter drop');
      expect(rulesOf(bench, 'dropped_v1').at(-1)).toBe('counter drop');
    }
  });

  it('is answered with Reject, counted by the same rules as before', () => {
    const [dropping, answering] = [made(), made(setting('Reject'))];
    for (const chain of ['denied_v1', 'denied_r_v1']) {
      const expected = rulesOf(dropping, chain).map((text) => text.replace(/drop$/, REJECT));
      expect(rulesOf(answering, chain)).toEqual(expected);
      expect(rulesOf(answering, chain).at(-1)).toBe(`counter ${REJECT}`);
    }
    for (const chain of ['dropped_v1', 'dropped_r_v1'])
      expect(rulesOf(answering, chain)).toEqual(rulesOf(dropping, chain));
  });

  it('is answered in the hooks of a filter alone: the kernel refuses it behind routing, Calico has none ahead of DNAT', () => {
    expect(rejecting(made(setting('Reject')))).toEqual(['forward', 'input', 'output']);
  });

  it('is answered from the packet’s priority as scratch', () => {
    const bench = new TableBench();
    const config = { nftablesFilterDenyAction: 'Reject', nftablesMarkMask: '0xffff0000' };
    bench.state.applyAll([{ type: 'configUpdate', config }]);
    const fresh = new TableBench({}, bench.state);
    fresh.change();
    expect(rulesOf(fresh, 'denied_v1').at(-1)).toBe(
      'counter meta priority set 0 reject with icmpx port-unreachable',
    );
  });
});

describe('with Reject', () => {
  const bench = made(setting('Reject'));
  const reasons = (chain: string): readonly string[] =>
    [...bench.renderer.table.chains.values()]
      .flatMap(({ rules }) => rules)
      .filter((text) => text.includes(` goto ${chain}_v1`))
      .flatMap((text) => / set (0x8000[0-9a-f]) goto /.exec(text)?.[1] ?? []);

  it('an unknown interface and a tunnel out of a workload are answered, as in Calico; no other reason is', () => {
    // Tunnel, unknown interface, no profile.
    expect(new Set(reasons('denied'))).toEqual(new Set(['0x80001', '0x80003', '0x80008']));
    // No verdict, workload to host, BGP, forged sources, not ready, ICMP errors, invalid; no profile behind DNAT.
    const others = ['0x80004', '0x80005', '0x80006', '0x80007', '0x80009', '0x8000a', '0x8000b', '0x8000e'];
    expect(new Set(reasons('dropped'))).toEqual(new Set([...others, '0x80008']));
  });

  it('the host’s own answers about a flow that was revoked leave it', () => {
    const [, error] = rulesOf(bench, `out_h_${bench.generation}_v1`);
    expect(error).toBe('ct state related meta l4proto icmp accept');
    const others = rulesOf(bench, `in_h_${bench.generation}_v1`).slice(1, 3);
    expect(others).toEqual([
      'ct state related meta l4proto icmp ct mark & 0xfff00000 == 0 accept',
      'ct state related meta l4proto icmp counter drop',
    ]);
  });
});

describe('the setting', () => {
  it('is changed by two chains and a new generation, in one transaction', () => {
    const bench = new TableBench();
    bench.change(policyUpdate([DENY, rule(1)]), endpointUpdate('a', '10.65.0.2', 1));
    for (const value of ['Reject', 'Drop']) {
      const plan = bench.change(setting(value));
      expect(phasesOf(plan).filter((phase) => phase !== 'cleanUp')).toEqual(['change+generation']);
      const rewritten = plan.transactions
        .flatMap(({ operations }) => operations)
        .flatMap((each) =>
          each.type === 'setRules' && each.chain.role === 'static' ? [each.chain.name] : [],
        );
      expect(rewritten.sort()).toEqual(['denied_r_v1', 'denied_v1']);
    }
  });

  it('moves what the host sends behind DNAT to chains of its own, in the same one', () => {
    const bench = made();
    const answering = bench.change(setting('Reject'));
    expect(phasesOf(answering).filter((phase) => phase !== 'cleanUp')).toEqual([
      'prepare',
      'change+generation',
    ]);
    expect(rejecting(bench)).toEqual(['forward', 'input', 'output']);
    bench.change(setting('Drop'));
    expect(rejecting(bench)).toEqual([]);
  });
});
