// Beside others that use the packet mark (kube-proxy: 0x4000, 0x8000): where nftablesMarkMask says that some bits are theirs, no chain
// of ours writes the mark, on no path (docs/dataplane.md "Scratch"). What others have marked is looked at behind all our chains.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { NetpolCase, NetpolWorld } from '../../support/netpol-case.ts';
import { PRIORITY_SCRATCH } from './support/calc-feed.ts';
import { ALLOW_ALL, hostEndpoint, hostPolicy } from './support/host-policies.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { Client, isAnswering, type Probe } from './support/probes.ts';
import { type TestHost, until } from './support/test-host.ts';

const PORTS = [{ port: 80, protocol: 'TCP' as const }];
const CASE: NetpolCase = {
  id: 'packet-marks',
  title: 'packet marks',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [
      { name: 'n1', ip: '172.30.0.11', ports: PORTS },
      { name: 'n2', ip: '172.30.0.12', ports: PORTS },
    ],
    externals: [{ name: 'stranger', ip: '198.18.9.9', ports: PORTS }],
    namespaces: [{ name: 'red' }],
    pods: [
      { namespace: 'red', name: 'a', node: 'n1', ip: '10.80.0.2', ports: PORTS },
      { namespace: 'red', name: 'b', node: 'n1', ip: '10.80.0.3', ports: PORTS },
      { namespace: 'red', name: 'far', node: 'n2', ip: '10.80.0.66', ports: PORTS },
    ],
  },
  steps: [],
};
const ADDRESSES: Readonly<Record<string, string>> = {
  'red/a': '10.80.0.2',
  'red/b': '10.80.0.3',
  'red/far': '10.80.0.66',
  'node:n1': '172.30.0.11',
  'node:n2': '172.30.0.12',
  'external:stranger': '198.18.9.9',
};
const PATHS: readonly (readonly [from: string, to: string])[] = [
  ['red/a', 'red/b'],
  ['red/a', 'red/far'],
  ['red/far', 'red/a'],
  ['red/a', 'external:stranger'],
  ['external:stranger', 'red/a'],
  ['node:n1', 'red/a'],
  ['node:n1', 'node:n2'],
  ['external:stranger', 'node:n1'],
];
/** Marked ahead of all our chains; counted where a packet leaves the host or has come to it, by whether it still is. */
const OTHERS = `
table inet others {
  counter kept { }
  counter lost { }
  chain marked { type filter hook prerouting priority -310; policy accept; tcp dport 80 meta mark set 0xc000; tcp sport 80 meta mark set 0xc000; }
  chain sent { type filter hook output priority -310; policy accept; tcp dport 80 meta mark set 0xc000; tcp sport 80 meta mark set 0xc000; }
  chain count { meta mark 0xc000 counter name kept return; counter name lost; }
  chain leaving { type filter hook postrouting priority 300; policy accept; tcp dport 80 jump count; tcp sport 80 jump count; }
  chain come { type filter hook input priority 300; policy accept; tcp dport 80 jump count; tcp sport 80 jump count; }
}`;
/** Each stage of host policy has a rule, and each lets all through. */
const HOST_POLICIES: readonly Resource[] = [
  hostEndpoint('n1', 'eth0', { interfaceName: 'eth0' }),
  hostPolicy('open', { ingress: [ALLOW_ALL], egress: [ALLOW_ALL] }),
  hostPolicy('forward', { applyOnForward: true, ingress: [ALLOW_ALL], egress: [ALLOW_ALL] }),
  hostPolicy('pre', { preDNAT: true, applyOnForward: true, ingress: [{ ...ALLOW_ALL, protocol: 'ICMP' }] }),
  hostPolicy('untracked', {
    doNotTrack: true,
    applyOnForward: true,
    ingress: [{ ...ALLOW_ALL, protocol: 'UDP' }],
    egress: [{ ...ALLOW_ALL, protocol: 'UDP' }],
  }),
];

describe('packet marks of others', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  beforeAll(async () => {
    bed = await NetpolBed.create(CASE.cluster.nodes);
    host = bed.host('n1');
    world = await bed.begin(CASE);
    await host.namespace.exec('nft', OTHERS);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  const probe = (from: string, to: string): Probe => ({
    name: `${from} → ${to}`,
    from: bed.namespaceOf(from),
    fromAddress: ADDRESSES[from] ?? '',
    to: ADDRESSES[to] ?? '',
    protocol: 'TCP',
    port: 80,
  });
  let before = { kept: 0, lost: 0 };
  /** Packets that were marked still, and not, since the last look. Counters are not reset: that cannot be while a commit is under way. */
  const counted = async (): Promise<{ kept: number; lost: number }> => {
    const text = await host.namespace.exec('nft', 'list', 'counters', 'table', 'inet', 'others');
    const of = (name: string): number =>
      Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(text)?.[1] ?? Number.NaN);
    const last = before;
    before = { kept: of('kept'), lost: of('lost') };
    return { kept: before.kept - last.kept, lost: before.lost - last.lost };
  };
  const countOfEachPath = async (): Promise<Record<string, string>> => {
    const result: Record<string, string> = {};
    for (const [from, to] of PATHS) {
      await counted();
      expect([from, to, await bed.probeAllowed(probe(from, to))]).toEqual([from, to, true]);
      const { kept, lost } = await counted();
      result[`${from} → ${to}`] = lost > 0 ? 'lost' : kept > 3 ? 'kept' : `${kept} kept`;
    }
    return result;
  };
  const all = (what: string): Record<string, string> =>
    Object.fromEntries(PATHS.map(([from, to]) => [`${from} → ${to}`, what]));

  it('are lost on first packets while scratch is the packet mark', async () => {
    await bed.settleResources([...world.resources(), ...HOST_POLICIES]);
    expect((await countOfEachPath())['red/a → red/b']).toBe('lost');
  });

  it('survive on every path where nftablesMarkMask says that there are others', async () => {
    const flow = new Client(probe('red/a', 'red/b'));
    await until('a flow is there', () => isAnswering(flow, bed.servers));
    bed.settings = PRIORITY_SCRATCH;
    await bed.settle(world);
    await counted();
    // Judged before the change of scratch, and now anew.
    await until('it runs on', () => isAnswering(flow, bed.servers), 15_000);
    flow.close();
    expect((await counted()).lost).toBe(0);
    expect(await countOfEachPath()).toEqual(all('kept'));
    await bed.settleResources([...world.resources(), ...HOST_POLICIES]);
    expect(await countOfEachPath()).toEqual(all('kept'));
  });

  it('the table has no rule that writes the mark then, and no priority is left on a packet that passes', async () => {
    const rules = await host.namespace.exec('nft', 'list', 'table', 'inet', 'calico');
    expect(rules).not.toContain('meta mark');
    expect(rules).toContain('meta priority');
    await host.namespace.exec(
      'nft',
      'add chain inet others last { type filter hook postrouting priority 310; policy accept; }; add rule inet others last oifname "cali*" tcp dport 80 meta priority != none counter name lost',
    );
    await counted();
    expect(await bed.probeAllowed(probe('red/a', 'red/b'))).toBe(true);
    expect((await counted()).lost).toBe(0);
  });

  it('what others write into the table is put right as before, once', async () => {
    bed.settings = PRIORITY_SCRATCH;
    await bed.settle(world);
    const { epoch } = host.dataplane.table;
    await host.namespace.exec('nft', `add element inet calico nodes4_v${epoch} { 192.0.2.99 }`);
    await until('the table is made anew', () => host.dataplane.table.epoch > epoch, 15_000);
    const seen = host.dataplane.table.foreignWrites;
    await host.namespace.exec('nft', 'add chain inet others nothing');
    await until('it has looked', () => host.dataplane.table.foreignWrites > seen, 15_000);
    expect(host.dataplane.table.epoch).toBe(epoch + 1);
    expect(host.dataplane.lastError).toBeUndefined();
  });

  it('and back: a mask of all bits makes the mark scratch again', async () => {
    const { epoch } = host.dataplane.table;
    bed.settings = { nftablesMarkMask: 0xffffffff };
    await bed.settle(world);
    expect(host.dataplane.table.epoch).toBe(epoch + 1);
    expect(await bed.probeAllowed(probe('red/far', 'red/a'))).toBe(true);
    expect(await host.namespace.exec('nft', 'list', 'chain', 'inet', 'calico', 'forward')).not.toContain(
      'meta priority',
    );
  });
});
