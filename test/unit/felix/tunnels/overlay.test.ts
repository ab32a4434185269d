// Which devices, forwarding entries, neighbours and routes a host's tunnels need (Felix's vxlan_mgr.go, ipip_mgr.go, route_mgr.go).

import { describe, expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS, type FelixSettings } from '../../../../agents/felix/calc/felix-settings.ts';
import { overlayOf } from '../../../../agents/felix/tunnels/overlay.ts';
import { workloadMtu } from '../../../../agents/felix/tunnels/tunnel-mtu.ts';
import { FAR, inputs, OWN, route, vtep } from './support.ts';

const IPIP = { ipip: true, vxlan: false, vxlanV6: false, noEncap: false };
const NOTHING = { ipip: false, vxlan: false, vxlanV6: false, noEncap: false };

describe('VXLAN', () => {
  it('has a device of each family with Calico’s parameters', () => {
    expect(overlayOf(inputs([])).links).toEqual([
      {
        name: 'vxlan.calico',
        kind: 'vxlan',
        family: 4,
        mac: '66:00:00:00:00:01',
        mtu: 1450,
        address: '10.65.1.0',
        vxlan: { vni: 4096, port: 4789, local: '172.30.0.11', parent: 'eth0' },
      },
      {
        name: 'vxlan-v6.calico',
        kind: 'vxlan',
        family: 6,
        mac: '66:00:00:00:06:01',
        mtu: 1430,
        address: 'fd65::100',
        vxlan: { vni: 4096, port: 4789, local: 'fd30::11', parent: 'eth0' },
      },
    ]);
  });

  it('tells the way to each other node’s end, and not to its own', () => {
    const { neighbours, forwarding } = overlayOf(inputs([]));
    expect(neighbours).toEqual([
      { device: 'vxlan.calico', address: '10.65.2.0', mac: '66:00:00:00:00:02' },
      { device: 'vxlan-v6.calico', address: 'fd65::200', mac: '66:00:00:00:06:02' },
    ]);
    expect(forwarding).toEqual([
      { device: 'vxlan.calico', mac: '66:00:00:00:00:02', host: '172.30.0.12' },
      { device: 'vxlan-v6.calico', mac: '66:00:00:00:06:02', host: 'fd30::12' },
    ]);
  });

  it.each([
    ['a block of another node goes through its end', route('10.65.2.0/26'), ['vxlan.calico', '10.65.2.0']],
    ['so does an IPv6 block', route('fd65::200/122'), ['vxlan-v6.calico', 'fd65::200']],
    [
      'in one subnet with CrossSubnet it goes to the node itself',
      route('10.65.2.0/26', { sameSubnet: true }),
      ['eth0', '172.30.0.12'],
    ],
    [
      'an end outside its node’s blocks is on the link',
      route('10.65.2.0/32', { types: ['remote-workload', 'remote-tunnel'], tunnel: 'vxlan', borrowed: true }),
      ['vxlan.calico', undefined],
    ],
    [
      'an address that another node borrowed from our block goes there',
      route('10.65.1.7/32', { types: ['remote-workload', 'local-workload'], borrowed: true }),
      ['vxlan.calico', '10.65.2.0'],
    ],
    [
      'a block of our own is a blackhole',
      route('10.65.1.0/26', { types: ['local-workload'], node: OWN }),
      [undefined, undefined],
    ],
  ])('%s', (_what, update, [device, via]) => {
    expect(overlayOf(inputs([update])).routes).toEqual([{ dst: update.dst, device, via }]);
  });

  it.each([
    [
      'our own workload',
      route('10.65.1.3/32', { types: ['local-workload'], node: OWN, localWorkload: true }),
    ],
    ['a block of one address of ours', route('10.65.1.3/32', { types: ['local-workload'], node: OWN })],
    ['a pool without tunnels', route('10.65.2.0/26', { pool: 'no-encap' })],
    ['the pool itself', route('10.65.0.0/16', { types: ['cidr-info'], node: undefined })],
    ['a node of which no end is known', route('10.65.2.0/26', { node: 'n9', nodeIp: '172.30.0.19' })],
    ['a host', route('172.30.0.12/32', { types: ['remote-host'], pool: undefined })],
  ])('makes no route for %s', (_what, update) => {
    expect(overlayOf(inputs([update])).routes).toEqual([]);
  });

  it('waits for its own tunnel address, and for an interface with the node’s address', () => {
    const vteps = new Map([[FAR, vtep(FAR, 2)]]);
    expect(overlayOf(inputs([route('10.65.2.0/26')], { vteps }))).toEqual({
      links: [],
      neighbours: [],
      forwarding: [],
      routes: [],
      rules: [],
    });
    const underlay = { interfaceOf: () => undefined, mtu: 1500 };
    expect(overlayOf(inputs([], { underlay })).links).toEqual([]);
  });

  it('goes when no pool needs it', () => {
    const update = route('10.65.1.0/26', { types: ['local-workload'], node: OWN });
    expect(overlayOf(inputs([update], { encapsulation: NOTHING }))).toEqual({
      links: [],
      neighbours: [],
      forwarding: [],
      routes: [],
      rules: [],
    });
  });

  it('obeys port, identifier, MTU and the switches', () => {
    const settings = {
      ...DEFAULT_FELIX_SETTINGS,
      vxlanPort: 8472,
      vxlanVni: 7,
      vxlanMtu: 1400,
      hasIpv6: false,
    };
    expect(overlayOf(inputs([], { settings })).links).toMatchObject([
      { mtu: 1400, vxlan: { vni: 7, port: 8472 } },
    ]);
    const off = { ...DEFAULT_FELIX_SETTINGS, vxlanEnabled: false };
    expect(overlayOf(inputs([], { settings: off })).links.map(({ name }) => name)).toEqual([
      'vxlan-v6.calico',
    ]);
  });
});

describe('IPIP', () => {
  const own = route('10.65.1.9/32', {
    types: ['local-workload', 'local-tunnel'],
    pool: 'ipip',
    node: OWN,
    tunnel: 'ipip',
  });

  it('has tunl0 with the tunnel’s address, and leads blocks to nodes', () => {
    const far = route('10.65.2.0/26', { pool: 'ipip' });
    const near = route('10.65.3.0/26', { pool: 'ipip', sameSubnet: true });
    const { links, routes } = overlayOf(inputs([own, far, near], { encapsulation: IPIP }));
    expect(links).toEqual([
      {
        name: 'tunl0',
        kind: 'ipip',
        family: 4,
        mac: undefined,
        mtu: 1480,
        address: '10.65.1.9',
        vxlan: undefined,
      },
    ]);
    expect(routes).toEqual([
      { dst: '10.65.2.0/26', device: 'tunl0', via: '172.30.0.12' },
      { dst: '10.65.3.0/26', device: 'eth0', via: '172.30.0.12' },
    ]);
  });

  it('is left to BGP when programClusterRoutes says so', () => {
    const settings = { ...DEFAULT_FELIX_SETTINGS, programsIpip: false };
    const made = overlayOf(
      inputs([own, route('10.65.2.0/26', { pool: 'ipip' })], { encapsulation: IPIP, settings }),
    );
    expect(made.links).toEqual([]);
    expect(made.routes).toEqual([]);
  });
});

describe('the MTU of workloads', () => {
  const wireguard = (...families: readonly (4 | 6)[]): Partial<FelixSettings> => {
    const of = (family: 4 | 6): FelixSettings['wireguard'][4] => ({
      ...DEFAULT_FELIX_SETTINGS.wireguard[family],
      enabled: families.includes(family),
    });
    return { wireguard: { 4: of(4), 6: of(6) } };
  };
  it.each([
    ['no tunnel', NOTHING, {}, 1500],
    ['IPIP', IPIP, {}, 1480],
    ['VXLAN', { ...NOTHING, vxlan: true }, {}, 1450],
    ['VXLAN of both families', { ...NOTHING, vxlan: true, vxlanV6: true }, {}, 1430],
    ['WireGuard', NOTHING, wireguard(4), 1440],
    ['WireGuard of both families', NOTHING, wireguard(4, 6), 1420],
    ['a device’s own', { ...NOTHING, vxlan: true }, { vxlanMtu: 1300 }, 1300],
  ])('with %s', (_what, encapsulation, more, mtu) => {
    const settings = { ...DEFAULT_FELIX_SETTINGS, ...more };
    expect(workloadMtu(inputs([], { encapsulation, settings }))).toBe(mtu);
  });

  it('is that of the interface with the node’s address, where no interface’s name tells', () => {
    const underlay = { interfaceOf: () => ({ name: 'uplink', mtu: 9000 }), mtu: undefined };
    expect(workloadMtu(inputs([], { encapsulation: NOTHING, underlay }))).toBe(9000);
  });
});
