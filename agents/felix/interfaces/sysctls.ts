// Kernel settings of a host, of a workload's host side, and of a pod's namespace (docs/dataplane.md "Interfaces"). Permanent
// neighbours on both sides take the place of proxy ARP and proxy NDP: nothing to time out, no delay of the first packet.

import type { Sysctl } from '../../../lib/protocol/kernel-writer.ts';
import type { FelixSettings } from '../calc/felix-settings.ts';

/** `accept_dad` on `default` comes before any workload interface is made. */
export function hostSysctls({
  forwardsIp,
  hasIpv6,
}: Pick<FelixSettings, 'forwardsIp' | 'hasIpv6'>): readonly Sysctl[] {
  return [
    ...(forwardsIp ? [{ path: 'net/ipv4/ip_forward', value: '1' }] : []),
    ...(forwardsIp && hasIpv6 ? [{ path: 'net/ipv6/conf/all/forwarding', value: '1' }] : []),
    { path: 'net/ipv6/conf/default/accept_dad', value: '0' },
  ];
}

/** There only once the kernel tracks connections, which loading the table makes it do. */
export const CONNTRACK_SYSCTLS: readonly Sysctl[] = [{ path: 'net/netfilter/nf_conntrack_acct', value: '1' }];

/** Of a workload interface's host side, once it is there. */
export function workloadInterfaceSysctls(interfaceName: string): readonly Sysctl[] {
  return [
    { path: `net/ipv4/conf/${interfaceName}/route_localnet`, value: '1' },
    { path: `net/ipv4/neigh/${interfaceName}/proxy_delay`, value: '0' },
    { path: `net/ipv4/conf/${interfaceName}/proxy_arp`, value: '1' },
    { path: `net/ipv4/conf/${interfaceName}/forwarding`, value: '1' },
    { path: `net/ipv6/conf/${interfaceName}/accept_ra`, value: '0' },
    { path: `net/ipv6/conf/${interfaceName}/accept_dad`, value: '0' },
    { path: `net/ipv6/conf/${interfaceName}/proxy_ndp`, value: '1' },
    { path: `net/ipv6/conf/${interfaceName}/forwarding`, value: '1' },
  ];
}

/** Of a pod's namespace: what a container's runtime would set, and no duplicate address detection. */
export const POD_SYSCTLS: readonly Sysctl[] = [
  { path: 'net/ipv6/conf/all/disable_ipv6', value: '0' },
  { path: 'net/ipv6/conf/default/disable_ipv6', value: '0' },
  { path: 'net/ipv6/conf/all/accept_dad', value: '0' },
  { path: 'net/ipv6/conf/default/accept_dad', value: '0' },
  { path: 'net/ipv4/ip_unprivileged_port_start', value: '0' },
  // A user namespace that maps one group only refuses the whole range; then group 0 at least.
  { path: 'net/ipv4/ping_group_range', value: '0 0' },
  { path: 'net/ipv4/ping_group_range', value: '0 2147483647' },
];
