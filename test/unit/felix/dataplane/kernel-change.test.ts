// What a line of `ip -o monitor` is about: lines as iproute2 6.1 prints them.

import { expect, it } from '@jest/globals';
import { changedPart, type OwnNetwork } from '../../../../agents/felix/dataplane/kernel-change.ts';

const OWN: OwnNetwork = {
  routeProtocol: 80,
  isWorkload: (name) => name.startsWith('cali'),
  isProgrammed: (name) => name === 'cali1',
  isTunnel: (name) => name === 'vxlan.calico',
  neighbourOf: (address) => (address === '10.65.0.3' ? { mac: '0a:00:00:00:00:03' } : undefined),
  isPeeringAddress: (name, address) => name === 'cali1' && address === '169.254.0.179',
  isTunnelNet: (net) => net === '10.65.1.0/26' || net === '10.65.0.0/26',
  isTunnelTable: (table) => table === '1',
};

it.each([
  ['4: vxlan.calico: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN group default', 'tunnels'],
  ['Deleted 4: vxlan.calico: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN group default', 'tunnels'],
  ['Deleted 4: vxlan.calico    inet 10.65.0.0/32 scope global vxlan.calico', 'tunnels'],
  ['Deleted 10.65.1.0 dev vxlan.calico FAILED ', 'tunnels'],
  ['Deleted 172.30.0.12 dev vxlan.calico lladdr 66:00:00:00:00:01 NOARP PERMANENT ', 'tunnels'],
  ['Deleted 10.65.1.0/26 via 10.65.1.0 dev vxlan.calico proto 80 onlink ', 'tunnels'],
  ['10.65.1.0/26 via 172.30.0.9 dev eth0 ', 'tunnels'],
  ['Deleted blackhole 10.65.0.0/26 proto 80 ', 'tunnels'],
  ['Deleted 99:\tnot from all fwmark 0x200000/0x200000 lookup 1 ', 'tunnels'],
  ['Deleted 10.65.1.0/26 dev wireguard.cali table 1 proto 80 scope link ', 'tunnels'],
  ['Deleted throw 10.65.1.0/26 table 1 proto 80 ', 'tunnels'],
  ['10.65.1.0/26 dev eth0 table 1 scope link ', 'tunnels'],
  [
    '3: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue state UP group default',
    'underlay',
  ],
  ['3: eth0    inet 172.30.0.11/24 scope global eth0', 'underlay'],
  ['inet cali1 rp_filter strict ', 'sysctls'],
  ['inet6 all forwarding off ', 'sysctls'],
  ['7: cali1@if2: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default', 'workloads'],
  ['Deleted 7: cali1@if2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default', 'workloads'],
  ['Deleted 10.65.0.3 dev cali1 proto 80 scope link ', 'workloads'],
  ['10.65.0.3 dev eth0 proto static scope link ', 'workloads'],
  ['Deleted 10.65.0.3 dev cali1 lladdr 0a:00:00:00:00:03 PERMANENT ', 'workloads'],
  ['10.65.0.3 dev cali1 lladdr 02:00:00:00:00:99 PERMANENT ', 'workloads'],
  ['Deleted 7: cali1    inet 169.254.0.179/32 scope link cali1', 'workloads'],
  ['198.51.100.0/24 dev cali1 scope link ', 'foreignRoutes'],
  // What we write ourselves, or what is no concern of ours.
  ['10.65.0.3 dev cali1 proto 80 scope link ', undefined],
  ['10.65.0.3 dev cali1 lladdr 0a:00:00:00:00:03 PERMANENT ', undefined],
  [
    '7: cali1@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default',
    undefined,
  ],
  ['7: cali1    inet 169.254.0.179/32 scope link cali1', undefined],
  ['Deleted 7: cali1    inet6 fe80::ecee:eeff:feee:eeee/64 scope link ', undefined],
  ['inet cali2 forwarding on rp_filter off ', undefined],
  ['8: cali2@if2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default', undefined],
  ['blackhole 10.65.0.0/26 proto 80 ', undefined],
  ['99:\tnot from all fwmark 0x200000/0x200000 lookup 1 ', undefined],
  ['Deleted 100:\tfrom 10.0.0.0/8 lookup 77 ', undefined],
  ['10.65.1.0/26 dev wireguard.cali table 1 proto 80 scope link ', undefined],
  ['Deleted 10.65.1.0/26 dev eth0 table 77 ', undefined],
  ['fe80::/64 dev cali1 proto kernel metric 256 pref medium', undefined],
  ['multicast ff00::/8 dev cali1 table local proto kernel metric 256 pref medium', undefined],
  ['local 10.65.0.0 dev vxlan.calico table local proto kernel scope host src 10.65.0.0 ', undefined],
  ['10.66.0.0/26 via 172.30.0.12 dev eth0 proto 81 ', undefined],
  ['172.30.0.1 dev eth0 lladdr 02:00:ac:1e:00:01 REACHABLE ', undefined],
  ['Deleted ff02::16 dev cali1 lladdr 33:33:00:00:00:16 NOARP ', undefined],
])('%s', (line, part) => {
  expect(changedPart(line, OWN)).toBe(part);
});
