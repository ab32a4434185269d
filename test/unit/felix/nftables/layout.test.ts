// Fixed chains as settings and tunnels ask for them (docs/dataplane.md "Packet path").

import { describe, expect, it } from '@jest/globals';
import type { CalcMessage, VtepUpdate } from '../../../../agents/felix/calc/messages.ts';
import { DataplaneState } from '../../../../agents/felix/nftables/render/dataplane-state.ts';
import { differences, type Listing, parseListing } from '../../../../agents/felix/nftables/render/listing.ts';
import { NftTable } from '../../../../agents/felix/nftables/render/table.ts';
import {
  endpointUpdate,
  entity,
  hostEndpoint,
  phasesOf,
  policyUpdate,
  port,
  rule,
  TableBench,
  textOf,
} from './support.ts';

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

it('port 179 is closed at every address of a node, while IPIP comes from its BGP addresses alone', () => {
  const bench = new TableBench();
  const addresses = ['10.65.12.0', '172.30.0.12', '203.0.113.12', 'fd00::12'];
  bench.change({
    type: 'hostUpdate',
    host: { host: 'n2', ipv4: '172.30.0.12/24', ipv6: undefined, addresses },
  });
  const keys = (set: string): readonly string[] => [
    ...(bench.renderer.table.sets.get(set)?.elements.keys() ?? []),
  ];
  expect(keys('nodes4_v1')).toEqual(['172.30.0.12']);
  expect(keys('hosts4_v1')).toEqual(['10.65.12.0', '172.30.0.12', '203.0.113.12']);
  expect(keys('hosts6_v1')).toEqual(['fd00::12']);
  for (const chain of ['prerouting', 'from_o_a_v1']) {
    const rules = rulesOf(bench, chain).filter((rule) => rule.includes('dport 179'));
    expect(rules.filter((rule) => rule.includes('daddr @hosts4_v1'))).toHaveLength(1);
    expect(rules.join()).not.toContain('@nodes');
  }
});

it('a workload’s ICMP errors of what its host sends it pass, of other flows none', () => {
  const rules = rulesOf(new TableBench(), 'in_w_1_v1').filter((rule) => rule.includes('related'));
  expect(rules.slice(0, 2)).toEqual([
    'ct state related meta l4proto icmp ct mark & 0xfff00000 == 0 iifname . ct reply ip saddr @src4_v1 accept',
    'ct state related meta l4proto icmpv6 ct mark & 0xfff00000 == 0 iifname . ct reply ip6 saddr @src6_v1 accept',
  ]);
  expect(rules.slice(2).every((rule) => rule.endsWith('goto dropped_v1'))).toBe(true);
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

describe('with the packet’s priority as scratch', () => {
  const made = (): TableBench => {
    const state = new DataplaneState();
    state.applyAll([configUpdate({ nftablesMarkMask: '4294901760' })]);
    return new TableBench({}, state);
  };
  const ids = (bench: TableBench): readonly string[] => [
    ...(bench.renderer.table.sets.get('ids_v1')?.elements.keys() ?? []),
  ];

  it('no rule and no set knows the packet mark', () => {
    const bench = made();
    bench.change(
      policyUpdate([rule(0), rule(1, { verdict: 'deny', destination: entity({ ports: [port(1, 99)] }) })]),
      endpointUpdate('a', '10.65.0.2', 1),
      HOST_ENDPOINT,
    );
    const { chains, sets } = bench.renderer.table;
    const rules = [...chains.values()].flatMap(({ rules: each }) => each);
    expect(rules.filter((each) => each.includes('meta mark'))).toEqual([]);
    expect(rules.filter((each) => each.includes('meta priority')).length).toBeGreaterThan(20);
    const types = [...sets.values()].filter(({ declaration }) => /\bmark\b/.test(declaration));
    expect(types.map(({ name, declaration }) => `${name}: ${declaration.split(';')[0]}`)).toEqual([
      'ids_v1: type classid : mark',
    ]);
  });

  it('what allows is led to the mark of its flows by a map that has it before any rule does', () => {
    const bench = made();
    expect(ids(bench)).toEqual(['0x4000c', '0x4000d']);
    bench.change(policyUpdate([rule(0)]), endpointUpdate('a', '10.65.0.2', 1));
    expect(ids(bench)).toEqual(['0x4000c', '0x4000d', '0x40010']);
    const plan = bench.change(policyUpdate([rule(0), rule(1, { protocol: 17 })]));
    expect(textOf(plan, 'prepare')).toContain('add element inet calico ids_v1 { 0x40012 : 0x40012 }');
    expect(phasesOf(plan)[0]).toBe('prepare');
    expect(rulesOf(bench, `stamp_${bench.generation}_v1`)).toEqual([
      `meta priority set meta priority & 0xfffff ct mark set meta priority map @ids_v1 ct mark set ct mark & 0xfffff | 0x${bench.generation}00000 meta priority set 0 accept`,
      'meta priority set 0x80004 goto dropped_v1',
    ]);
  });
});

it('a classid is read from a listing in two halves', () => {
  const table = new NftTable();
  const set = table.defineSet({
    name: 'id4_v1',
    kind: 'map',
    declaration: 'type ipv4_addr : classid;',
    role: 'address',
    isInterval: false,
    isKeyed: false,
    onlyAllows: false,
  });
  table.setElement(set, '10.65.0.2', { value: '0x100001' });
  const listing = (value: string): Listing | undefined =>
    parseListing({ nftables: [{ map: { name: 'id4_v1', elem: [['10.65.0.2', value]] } }] });
  const different = (value: string): readonly string[] => {
    const listed = listing(value);
    return listed === undefined ? ['nothing'] : differences(table, listed, 1);
  };
  expect(different('10:1')).toEqual([]);
  expect(different('10:2')).toEqual(['id4_v1']);
});
