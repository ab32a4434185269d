// The lines that bring a kernel's tunnels from what is there to what is wanted, and what is read of a kernel.

import { describe, expect, it } from '@jest/globals';
import {
  forwardingEntries,
  tunnelLinks,
  tunnelNeighbours,
  tunnelRoutes,
  underlayOf,
} from '../../../../agents/felix/tunnels/kernel-overlay.ts';
import { overlayOf } from '../../../../agents/felix/tunnels/overlay.ts';
import { type ActualOverlay, overlayLines } from '../../../../agents/felix/tunnels/overlay-commands.ts';
import type { Overlay, TunnelLink } from '../../../../agents/felix/tunnels/overlay-model.ts';
import { inputs, OWN, route, there } from './support.ts';

const V4 = { ipip: false, vxlan: true, vxlanV6: false, noEncap: false };
const ROUTES = [route('10.65.2.0/26'), route('10.65.1.0/26', { types: ['local-workload'], node: OWN })];
const WANTED = overlayOf(inputs(ROUTES, { encapsulation: V4 }));
const EMPTY: Overlay = { links: [], neighbours: [], forwarding: [], routes: [], rules: [] };
const NOTHING_THERE: ActualOverlay = { links: [], neighbours: [], forwarding: [], routes: [], rules: [] };

const NAMES = { 4: 'wireguard.cali', 6: 'wg-v6.cali' };

const text = (desired: Overlay, actual: ActualOverlay): readonly string[] =>
  overlayLines(desired, actual, 80).map(({ tool, line }) => `${tool} ${line}`);

describe('lines', () => {
  it('make everything, each after what it leads through', () => {
    expect(text(WANTED, NOTHING_THERE)).toEqual([
      'ip link add vxlan.calico address 66:00:00:00:00:01 mtu 1450 type vxlan id 4096 local 172.30.0.11 dev eth0 dstport 4789 nolearning',
      'ip addr replace 10.65.1.0/32 dev vxlan.calico',
      'ip link set dev vxlan.calico up',
      'ip neigh replace 10.65.2.0 lladdr 66:00:00:00:00:02 dev vxlan.calico nud permanent',
      'bridge fdb replace 66:00:00:00:00:02 dev vxlan.calico dst 172.30.0.12 self permanent',
      'ip route replace blackhole 10.65.1.0/26 proto 80',
      'ip route replace 10.65.2.0/26 via 10.65.2.0 dev vxlan.calico onlink proto 80',
    ]);
  });

  it('are none where all is there', () => {
    expect(text(WANTED, there(WANTED))).toEqual([]);
    expect(text(EMPTY, NOTHING_THERE)).toEqual([]);
  });

  it('take everything away, routes first', () => {
    expect(text(EMPTY, there(WANTED))).toEqual([
      'ip route del blackhole 10.65.1.0/26 proto 80',
      'ip route del 10.65.2.0/26 dev vxlan.calico proto 80',
      'ip link del dev vxlan.calico',
    ]);
  });

  it('take away a node that has left, and leave the device', () => {
    const alone = { ...WANTED, neighbours: [], forwarding: [], routes: WANTED.routes.slice(0, 1) };
    expect(text(alone, there(WANTED))).toEqual([
      'ip route del 10.65.2.0/26 dev vxlan.calico proto 80',
      'ip neigh flush to 10.65.2.0 dev vxlan.calico nud permanent',
      'bridge fdb del 66:00:00:00:00:02 dev vxlan.calico dst 172.30.0.12 self permanent',
    ]);
  });

  it('follow a node that has another address, and take the old way away', () => {
    const moved = {
      ...WANTED,
      forwarding: WANTED.forwarding.map((entry) => ({ ...entry, host: '172.30.0.99' })),
    };
    expect(text(moved, there(WANTED))).toEqual([
      'bridge fdb del 66:00:00:00:00:02 dev vxlan.calico dst 172.30.0.12 self permanent',
      'bridge fdb replace 66:00:00:00:00:02 dev vxlan.calico dst 172.30.0.99 self permanent',
    ]);
  });

  it('change what can be changed of a device that is there', () => {
    const [link] = there(WANTED).links;
    if (link === undefined) throw new Error('no link');
    const links = [{ ...link, mtu: 1400, isUp: false, mac: '66:00:00:00:00:0f', addresses: ['10.65.1.1'] }];
    expect(text(WANTED, there(WANTED, { links }))).toEqual([
      'ip link set dev vxlan.calico address 66:00:00:00:00:01',
      'ip link set dev vxlan.calico mtu 1450',
      'ip addr del 10.65.1.1/32 dev vxlan.calico',
      'ip addr replace 10.65.1.0/32 dev vxlan.calico',
      'ip link set dev vxlan.calico up',
    ]);
  });

  it.each<Partial<NonNullable<TunnelLink['vxlan']>>>([
    { vni: 7 },
    { port: 8472 },
    { local: '172.30.0.99' },
    { parent: 'eth1' },
  ])('make a device anew, with all that was on it, where %j cannot be changed', (change) => {
    const [link] = there(WANTED).links;
    if (link?.vxlan === undefined) throw new Error('no link');
    const links = [{ ...link, vxlan: { ...link.vxlan, ...change } }];
    const lines = text(WANTED, there(WANTED, { links }));
    expect(lines[0]).toBe('ip link del dev vxlan.calico');
    expect(lines[1]).toMatch(/^ip link add vxlan\.calico /);
    // Blackholes are on no device.
    expect(lines.slice(2)).toEqual(
      text(WANTED, NOTHING_THERE)
        .slice(1)
        .filter((line) => !line.includes('blackhole')),
    );
  });

  it('leave a tunl0 alone that nobody uses, and empty one that somebody did', () => {
    const tunl0 = {
      name: 'tunl0',
      kind: 'ipip' as const,
      family: 4 as const,
      mac: undefined,
      mtu: 1480,
      vxlan: undefined,
    };
    expect(text(EMPTY, there(EMPTY, { links: [{ ...tunl0, isUp: false, addresses: [] }] }))).toEqual([]);
    expect(
      text(EMPTY, there(EMPTY, { links: [{ ...tunl0, isUp: true, addresses: ['10.65.1.9'] }] })),
    ).toEqual(['ip addr del 10.65.1.9/32 dev tunl0', 'ip link set dev tunl0 down']);
  });

  it('of IPIP and of IPv6', () => {
    const encapsulation = { ipip: true, vxlan: false, vxlanV6: true, noEncap: false };
    const own = route('10.65.1.9/32', { types: ['local-tunnel'], pool: 'ipip', node: OWN, tunnel: 'ipip' });
    const desired = overlayOf(
      inputs([own, route('10.65.2.0/26', { pool: 'ipip' }), route('fd65::200/122')], { encapsulation }),
    );
    expect(text(desired, NOTHING_THERE)).toEqual([
      'ip link add vxlan-v6.calico address 66:00:00:00:06:01 mtu 1430 type vxlan id 4096 local fd30::11 dev eth0 dstport 4789 nolearning udp6zerocsumtx udp6zerocsumrx',
      'ip addr replace fd65::100/128 dev vxlan-v6.calico nodad',
      'ip link set dev vxlan-v6.calico up',
      'ip link add tunl0 mtu 1480 type ipip mode ipip',
      'ip addr replace 10.65.1.9/32 dev tunl0',
      'ip link set dev tunl0 up',
      'ip neigh replace fd65::200 lladdr 66:00:00:00:06:02 dev vxlan-v6.calico nud permanent',
      'bridge fdb replace 66:00:00:00:06:02 dev vxlan-v6.calico dst fd30::12 self permanent',
      'ip route replace 10.65.2.0/26 via 172.30.0.12 dev tunl0 onlink proto 80',
      'ip route replace fd65::200/122 via fd65::200 dev vxlan-v6.calico onlink proto 80',
    ]);
  });
});

describe('of a kernel', () => {
  it('devices are read by their names, with what matters of them', () => {
    const vxlan = {
      ifname: 'vxlan.calico',
      flags: ['BROADCAST', 'UP'],
      mtu: 1450,
      address: '66:00:00:00:00:01',
      linkinfo: {
        info_kind: 'vxlan',
        info_data: { id: 4096, local: '172.30.0.11', link: 'eth0', port: 4789 },
      },
      addr_info: [
        { family: 'inet', local: '10.65.1.0', scope: 'global' },
        { family: 'inet6', local: 'fe80::1', scope: 'link' },
      ],
    };
    const other = { ...vxlan, ifname: 'vxlan0' };
    expect(tunnelLinks([vxlan, other, { nonsense: 1 }], NAMES)).toEqual(
      there(WANTED).links.map((link) => ({ ...link, addresses: ['10.65.1.0'] })),
    );
    expect(tunnelLinks(undefined, NAMES)).toEqual([]);
  });

  it('neighbours, forwarding entries and routes are read as they are written', () => {
    const listed = [
      { dst: '10.65.2.0', dev: 'vxlan.calico', lladdr: '66:00:00:00:00:02' },
      { dst: 'fd00::1', dev: 'vxlan.calico', lladdr: '66:00:00:00:00:02' },
      { dst: '10.65.2.0', dev: 'cali1', lladdr: '66:00:00:00:00:02' },
    ];
    expect(tunnelNeighbours('vxlan.calico', 4, listed)).toEqual(WANTED.neighbours);
    const entry = { mac: '66:00:00:00:00:02', dst: '172.30.0.12', flags: ['self'], state: 'permanent' };
    expect(forwardingEntries('vxlan.calico', [entry, { ...entry, state: 'stale' }])).toEqual(
      WANTED.forwarding,
    );
    const routes = [
      { type: 'blackhole', dst: '10.65.1.0/26', flags: [] },
      { dst: '10.65.2.0/26', gateway: '10.65.2.0', dev: 'vxlan.calico', flags: ['onlink'] },
      { dst: '10.65.1.3', dev: 'cali123', flags: [] },
    ];
    expect(tunnelRoutes(routes, (device) => device.startsWith('cali'))).toEqual(WANTED.routes);
  });

  it('the host’s own interfaces tell the MTU and who has an address', () => {
    const link = (ifname: string, mtu: number, local: string): object => ({
      ifname,
      mtu,
      flags: ['UP'],
      addr_info: [{ local }],
    });
    const links = [
      { ...link('eth1', 1300, '192.0.2.2'), flags: [] },
      link('lo', 65536, '127.0.0.1'),
      link('eth0', 1500, '172.30.0.11'),
      link('ens3', 1400, '192.0.2.1'),
    ];
    const underlay = underlayOf(links, /^e/);
    expect(underlay.mtu).toBe(1400);
    expect(underlay.interfaceOf('172.30.0.11')).toEqual({ name: 'eth0', mtu: 1500 });
    expect(underlayOf(links, /^wlan/).mtu).toBeUndefined();
  });
});
