// Fixed chains as settings and tunnels ask for them (docs/dataplane.md "Packet path").

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage, VtepUpdate } from '../../../../agents/felix/calc/messages.ts';
import { hostEndpoint, TableBench } from './support.ts';

const configUpdate = (config: Record<string, string>): CalcMessage => ({ type: 'configUpdate', config });
const encapsulation = (more: object): CalcMessage => ({
  type: 'encapsulationUpdate',
  encapsulation: { ipip: false, vxlan: false, vxlanV6: false, noEncap: false, ...more },
});
const vtep = (node: string, parentIpv4: string): CalcMessage => {
  const nothing = {
    mac: undefined,
    ipv4: undefined,
    macV6: undefined,
    ipv6: undefined,
    parentIpv6: undefined,
  };
  const update: VtepUpdate = { ...nothing, node, parentIpv4 };
  return { type: 'vtepUpdate', vtep: update };
};

function rulesOf(bench: TableBench, chain: string): readonly string[] {
  return bench.renderer.table.chains.get(chain)?.rules ?? [];
}

const HOST_ENDPOINT: CalcMessage = { type: 'hostEndpointUpdate', endpoint: hostEndpoint('eth0') };

describe('tunnels', () => {
  it('are taken and sent whatever a host endpoint says', () => {
    const bench = new TableBench();
    bench.change(encapsulation({ vxlan: true }), vtep('n2', '172.30.0.12'), HOST_ENDPOINT);
    const comesFirst = (chain: string, rule: string, judging: string): boolean => {
      const rules = rulesOf(bench, chain);
      return (
        rules.includes(rule) && rules.indexOf(rule) < rules.findIndex((each) => each.startsWith(judging))
      );
    };
    const taken = 'meta nfproto ipv4 udp dport 4789 ip saddr @vteps4_v1 fib saddr . iif oif exists accept';
    expect(comesFirst('input', taken, 'iifname "eth0" goto')).toBe(true);
    expect(comesFirst('output', 'udp dport 4789 ip daddr @vteps4_v1 accept', 'oifname "eth0" goto')).toBe(
      true,
    );
  });

  it('are taken from other ends alone', () => {
    const bench = new TableBench();
    bench.change(encapsulation({ vxlan: true }), vtep('n2', '172.30.0.12'), vtep('n3', '172.30.0.13'));
    bench.change(configUpdate({ externalNodesList: '192.0.2.0/24' }));
    expect(rulesOf(bench, 'input').slice(-3)).toEqual([
      'meta nfproto ipv4 udp dport 4789 ip saddr @vteps4_v1 fib saddr . iif oif exists accept',
      'meta nfproto ipv4 udp dport 4789 ip saddr @ext4_v1 fib saddr . iif oif exists accept',
      'meta nfproto ipv4 udp dport 4789 fib daddr type local counter drop',
    ]);
    const elements = (set: string): readonly string[] => [
      ...(bench.renderer.table.sets.get(set)?.elements.keys() ?? []),
    ];
    expect(elements('vteps4_v1')).toEqual(['172.30.0.12', '172.30.0.13']);
    expect(elements('ext4_v1')).toEqual(['192.0.2.0/24']);
    bench.change({ type: 'vtepRemove', node: 'n3' });
    expect(elements('vteps4_v1')).toEqual(['172.30.0.12']);
    bench.change(configUpdate({}));
    expect(rulesOf(bench, 'input').slice(-2)).toEqual([
      'meta nfproto ipv4 udp dport 4789 ip saddr @vteps4_v1 fib saddr . iif oif exists accept',
      'meta nfproto ipv4 udp dport 4789 fib daddr type local counter drop',
    ]);
    expect(bench.renderer.table.sets.has('ext4_v1')).toBe(false);
    bench.change(encapsulation({}));
    expect(rulesOf(bench, 'input').join()).not.toContain('4789');
    expect(bench.renderer.table.sets.has('vteps4_v1')).toBe(false);
  });

  it('of IPIP come from nodes', () => {
    const bench = new TableBench();
    bench.change(encapsulation({ ipip: true }));
    expect(rulesOf(bench, 'input').slice(-2)).toEqual([
      'meta nfproto ipv4 meta l4proto 4 ip saddr @nodes4_v1 fib saddr . iif oif exists accept',
      'meta nfproto ipv4 meta l4proto 4 fib daddr type local counter drop',
    ]);
  });
});

describe('NAT outgoing', () => {
  const pool: CalcMessage = { type: 'poolUpdate', pool: { cidr: '10.65.0.0/16', natOutgoing: true } };

  it.each<[Record<string, string>, string[]]>([
    [{}, ['ip saddr @masq4_v1 masquerade']],
    [{ natOutgoingAddress: '192.0.2.1' }, ['ip saddr @masq4_v1 snat ip to 192.0.2.1']],
    [
      { natPortRange: '1000:2000' },
      [
        'ip saddr @masq4_v1 meta l4proto tcp masquerade to :1000-2000',
        'ip saddr @masq4_v1 meta l4proto udp masquerade to :1000-2000',
        'ip saddr @masq4_v1 meta l4proto sctp masquerade to :1000-2000',
        'ip saddr @masq4_v1 masquerade',
      ],
    ],
    [
      { natPortRange: '1000:2000', natOutgoingAddress: '192.0.2.1' },
      [
        'ip saddr @masq4_v1 meta l4proto tcp snat ip to 192.0.2.1:1000-2000',
        'ip saddr @masq4_v1 meta l4proto udp snat ip to 192.0.2.1:1000-2000',
        'ip saddr @masq4_v1 meta l4proto sctp snat ip to 192.0.2.1:1000-2000',
        'ip saddr @masq4_v1 snat ip to 192.0.2.1',
      ],
    ],
  ])('with %j', (config, rules) => {
    const bench = new TableBench();
    bench.change(pool, configUpdate(config));
    expect(rulesOf(bench, 'postrouting').filter((rule) => rule.startsWith('ip saddr @masq4'))).toEqual(rules);
  });
});

it('established flows are kept only where that is asked for', () => {
  const bench = new TableBench();
  expect(rulesOf(bench, 'forward')[1]).not.toContain('!= 0x0 accept');
  bench.state.keepsEstablishedFlows = true;
  bench.change(encapsulation({}));
  const [first, second] = rulesOf(bench, 'forward');
  expect(first).toBe('ct mark & 0xfff00000 == 0x100000 accept');
  expect(second).toBe('ct mark & 0xfff00000 != 0x0 accept');
  expect(rulesOf(bench, 'input')[1]).toBe('ct mark & 0xfff00000 != 0x0 accept');
  bench.change(HOST_ENDPOINT);
  expect(rulesOf(bench, 'output')[1]).toBe('ct mark & 0xfff00000 != 0x0 accept');
});
