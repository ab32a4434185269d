// Host endpoints in the rendered table: which chains there are, what leads to them, and when live flows are judged anew.

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import type { PolicyId } from '../../../../lib/policy/compiled.ts';
import {
  entity,
  hostEndpoint,
  hostPolicyUpdate,
  policyIdOf,
  port,
  rule,
  TableBench,
  tierOf,
} from './support.ts';

const TCP_80 = rule(0, { destination: entity({ ports: [port(80)] }) });
const passing = (...ids: readonly PolicyId[]): ReturnType<typeof tierOf> => ({
  ...tierOf(ids),
  defaultAction: 'pass',
});
const update = (name: string, more: Parameters<typeof hostEndpoint>[1]): CalcMessage => ({
  type: 'hostEndpointUpdate',
  endpoint: hostEndpoint(name, more),
});
const remove = (name: string): CalcMessage => ({
  type: 'hostEndpointRemove',
  id: { host: 'n1', endpoint: name },
});

function bench(...messages: readonly CalcMessage[]): TableBench {
  const made = new TableBench();
  made.change(...messages);
  return made;
}
const rulesOf = (from: TableBench, chain: string): readonly string[] =>
  from.renderer.table.chains.get(chain)?.rules ?? [];
const baseChains = (from: TableBench): readonly string[] =>
  [...from.renderer.table.chains.values()]
    .flatMap(({ role, name }) => (role === 'base' ? [name] : []))
    .sort();
/** The chain that a rule beginning so leads to. */
function target(rules: readonly string[], start: string): string {
  const found = rules.find((text) => text.startsWith(start));
  return /goto (\S+)$/.exec(found ?? '')?.[1] ?? `no rule ${start}`;
}

describe('a host without host endpoints', () => {
  it('has no chain for its own traffic', () => {
    const from = bench();
    expect(baseChains(from)).toEqual(['forward', 'input', 'prerouting']);
    expect(rulesOf(from, 'hi_i_v1')).toEqual([]);
  });
});

describe('a named host endpoint', () => {
  const from = bench(
    hostPolicyUpdate('in', [TCP_80]),
    update('eth0', { tiers: [tierOf([policyIdOf('in')])] }),
  );

  it('has its own traffic judged, and leaves what is forwarded alone', () => {
    expect(baseChains(from)).toEqual(['dnated', 'forward', 'input', 'output', 'prerouting']);
    expect(rulesOf(from, 'input').at(-1)).toBe('iifname "eth0" goto in_h_1_v1');
    expect(rulesOf(from, 'output').at(-1)).toBe('oifname "eth0" goto out_h_1_v1');
    expect(rulesOf(from, 'forward')[1]).toBe('iifname != "cali*" oifname != "cali*" accept');
  });

  it('has groups as workloads do, found by the interface in both directions', () => {
    const ingress = target(rulesOf(from, 'hi_i_v1'), 'iifname "eth0"');
    expect(ingress).toMatch(/^i\d+_v1$/);
    expect(target(rulesOf(from, 'hi_o_v1'), 'oifname "eth0"')).toBe(ingress);
    expect(rulesOf(from, ingress)[0]).toMatch(
      /^meta l4proto 6 meta mark set meta l4proto \. ct reply proto-src map @m\d+_v1 return/,
    );
    expect(rulesOf(from, ingress).at(-1)).toMatch(
      /^meta mark set 0x8\S+ goto denied_v1 comment "end of tier default"/,
    );
    expect(rulesOf(from, 'hi_i_v1').at(-1)).toBe('return');
  });

  it('asks failsafe ports first, of replies those of the other direction', () => {
    expect(rulesOf(from, 'fs_i_v1')).toContain(
      'meta l4proto 6 ct reply proto-src 22 meta mark set 0x4000c return',
    );
    expect(rulesOf(from, 'fs_e_v1')).toContain(
      'meta l4proto 17 ct reply proto-src 53 meta mark set 0x4000c return',
    );
    const jumps = (chain: string): readonly string[] =>
      rulesOf(from, chain).filter((text) => text.startsWith('jump'));
    expect(jumps('in_h_1_v1')).toEqual(['jump fs_i_v1', 'jump hi_i_v1']);
    expect(jumps('in_hr_1_v1')).toEqual(['jump fs_e_v1', 'jump he_i_v1']);
    expect(jumps('out_h_1_v1')).toEqual(['jump fs_e_v1', 'jump he_o_v1']);
    expect(jumps('out_hr_1_v1')).toEqual(['jump fs_i_v1', 'jump hi_o_v1']);
  });
});

describe('what the kernel never tracks', () => {
  const ofLink = rule(0, { protocol: 58, source: entity({ nets: ['fe80::/10'] }) });
  const from = bench(
    hostPolicyUpdate('in', [ofLink]),
    update('eth0', { tiers: [tierOf([policyIdOf('in')])] }),
  );

  it('is judged by the same policies, which look at the packet itself', () => {
    const chain = target(rulesOf(from, 'hn_i_v1'), 'iifname "eth0"');
    expect(chain).not.toBe(target(rulesOf(from, 'hi_i_v1'), 'iifname "eth0"'));
    expect(rulesOf(from, chain)[0]).toContain('ip6 saddr map @net6_v1');
    expect(rulesOf(from, chain).at(-1)).toMatch(/goto denied_v1 comment "end of tier default"/);
    const rules = rulesOf(from, 'in_h_1_v1');
    expect(rules.indexOf('ct state untracked jump hn_i_v1')).toBeLessThan(rules.indexOf('jump hi_i_v1'));
    expect(rulesOf(from, 'out_h_1_v1')).toContain('ct state untracked jump hn_o_v1');
  });
});

describe('a policy for forwarded traffic', () => {
  const tiers = [tierOf([policyIdOf('in')])];
  const policy = hostPolicyUpdate('in', [TCP_80], { applyOnForward: true });

  it('makes the host judge what goes through that interface, and denies at the end of its tier', () => {
    const from = bench(policy, update('eth0', { tiers, forwardTiers: tiers }));
    const gotos = rulesOf(from, 'forward').filter((text) => text.includes('judge'));
    expect(gotos).toContain('iifname "eth0" goto judge_1_v1');
    expect(rulesOf(from, 'forward').at(-1)).toBe('accept');
    const chain = target(rulesOf(from, 'hfi_i_v1'), 'iifname "eth0"');
    expect(rulesOf(from, chain).at(-1)).toMatch(/end of tier default/);
    // No egress policy: what leaves is not decided.
    const out = target(rulesOf(from, 'hfe_o_v1'), 'oifname "eth0"');
    expect(rulesOf(from, out)).toEqual(['meta mark set 0x4000d return']);
  });

  it('makes it judge everything where the endpoint is for all interfaces', () => {
    const from = bench(policy, update('all', { interfaceName: '*', tiers, forwardTiers: tiers }));
    expect(rulesOf(from, 'forward').slice(1)).toEqual(['goto judge_1_v1']);
    expect(rulesOf(from, 'input').at(-1)).toBe('goto in_h_1_v1');
  });

  it('that is only staged changes nothing', () => {
    const staged = [tierOf([{ kind: 'StagedGlobalNetworkPolicy', namespace: '', name: 'in' }])];
    const from = bench(update('eth0', { forwardTiers: staged }));
    expect(rulesOf(from, 'hfi_i_v1')).toEqual([]);
  });
});

describe('pre-DNAT policy', () => {
  const from = bench(
    hostPolicyUpdate('pre', [{ ...TCP_80, verdict: 'deny' }], { preDnat: true }),
    update('eth0', { preDnatTiers: [passing(policyIdOf('pre'))] }),
  );

  it('looks at the destination before DNAT, and does not deny at its end', () => {
    const chain = target(rulesOf(from, 'hp_i_v1'), 'iifname "eth0"');
    expect(rulesOf(from, chain)[0]).toMatch(
      /^meta l4proto 6 meta mark set meta l4proto \. ct original proto-dst map @m\d+_v1 goto dropped_v1/,
    );
    expect(rulesOf(from, chain).at(-1)).toBe('meta mark set 0 return');
  });

  it('is asked ahead of DNAT, and of replies where flows are stamped', () => {
    expect(rulesOf(from, 'pre_dnat').slice(-2)).toEqual(['jump hp_i_v1', 'meta mark set 0']);
    for (const [chain, jump] of [
      ['slow_o_1_v1', 'jump hp_i_v1'],
      ['slow_r_1_v1', 'jump hp_o_v1'],
      ['in_h_1_v1', 'jump hp_i_v1'],
      ['out_hr_1_v1', 'jump hp_o_v1'],
    ] as const)
      expect([chain, rulesOf(from, chain).includes(jump)]).toEqual([chain, true]);
  });

  it('never closes a failsafe port', () => {
    expect(rulesOf(from, 'hp_i_v1')).toContain('meta l4proto 6 ct original proto-dst 22 return');
  });
});

describe('untracked policy', () => {
  const messages = [
    hostPolicyUpdate('raw', [{ ...TCP_80, source: entity({ nets: ['10.0.0.0/8'] }) }], { untracked: true }),
    update('eth0', { untrackedTiers: [passing(policyIdOf('raw'))] }),
  ];

  it('looks at the packet itself, ahead of conntrack and behind it', () => {
    const from = bench(...messages);
    const chain = target(rulesOf(from, 'hu_i_v1'), 'iifname "eth0"');
    expect(rulesOf(from, chain)[0]).toMatch(
      /^meta l4proto 6 meta mark set ip saddr map @net4_v1 meta mark set meta mark \. meta l4proto \. th dport map @m\d+_v1 return/,
    );
    expect(rulesOf(from, 'raw_in')).toEqual(['iifname "eth0" goto raw_i_v1']);
    expect(rulesOf(from, 'raw_i_v1').slice(-3)).toEqual([
      'jump hu_i_v1',
      'meta mark & 0xc0000 == 0x40000 meta mark set 0 notrack accept',
      'meta mark set 0',
    ]);
    expect(rulesOf(from, 'in_h_1_v1')).toContain('ct state untracked jump hu_i_v1');
  });

  it('lets neighbours be found, whatever it denies', () => {
    for (const chain of ['raw_i_v1', 'raw_o_v1'])
      expect(rulesOf(bench(...messages), chain).slice(0, 2)).toEqual([
        'icmpv6 type nd-neighbor-solicit accept',
        'icmpv6 type nd-neighbor-advert accept',
      ]);
  });

  it('leaves failsafe ports and their answers tracked', () => {
    const rules = rulesOf(bench(...messages), 'raw_i_v1');
    expect(rules).toContain('meta l4proto 6 th dport 22 accept');
    expect(rules).toContain('meta l4proto 17 th sport 53 accept');
  });

  it('does not apply to all interfaces, and says so', () => {
    const from = bench(
      messages[0] as CalcMessage,
      update('all', { interfaceName: '*', untrackedTiers: [passing(policyIdOf('raw'))] }),
    );
    expect(baseChains(from)).not.toContain('raw_in');
    expect(from.state.takeUnsupported().map(({ object }) => object)).toEqual(['HostEndpoint/all']);
  });
});

describe('live flows are judged anew', () => {
  const open = update('eth0', { profiles: ['p'] });

  it.each([
    ['when the first host endpoint comes', [], [open]],
    ['when one gets another list', [open], [update('eth0', {})]],
    [
      'when one moves to another interface',
      [open],
      [update('eth0', { interfaceName: 'eth1', profiles: ['p'] })],
    ],
    [
      'when one gets pre-DNAT policy',
      [open],
      [update('eth0', { profiles: ['p'], preDnatTiers: [passing(policyIdOf('pre'))] })],
    ],
    [
      'when forwarded traffic gets a policy',
      [open],
      [update('eth0', { profiles: ['p'], forwardTiers: [tierOf([policyIdOf('f')])] })],
    ],
    [
      'when failsafe ports change',
      [open],
      [{ type: 'configUpdate', config: { failsafeInboundHostPorts: 'tcp:23' } }],
    ],
  ] as const)('%s', (_what, before, after) => {
    const from = bench(...before);
    expect(from.change(...after).movedGeneration).toBe(true);
  });

  it('but not for a change that is none', () => {
    const from = bench(open);
    expect(from.change(open).transactions).toEqual([]);
  });

  it('and chains that are no longer wanted are emptied, not deleted', () => {
    const from = bench(open);
    from.change(remove('eth0'));
    expect(from.planner.programmed.chains.get('output')?.rules ?? []).toEqual([]);
    expect(rulesOf(from, 'hi_i_v1')).toEqual([]);
  });
});

describe('a host endpoint that the kernel refuses', () => {
  it('keeps its interface closed', () => {
    const from = new TableBench({ leftOut: new Set(['n1/eth0']) });
    from.change(
      hostPolicyUpdate('in', [TCP_80]),
      update('eth0', { tiers: [tierOf([policyIdOf('in')])], forwardTiers: [tierOf([policyIdOf('in')])] }),
    );
    const chain = target(rulesOf(from, 'hi_i_v1'), 'iifname "eth0"');
    expect(rulesOf(from, chain)).toEqual([
      'meta mark set 0x80008 goto denied_v1 comment "no profile matched"',
    ]);
    expect(target(rulesOf(from, 'hfi_i_v1'), 'iifname "eth0"')).toBe(chain);
  });
});
