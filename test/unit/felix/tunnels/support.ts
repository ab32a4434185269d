// A host in a cluster with tunnels, for tests of what its kernel is to have.

import { DEFAULT_FELIX_SETTINGS } from '../../../../agents/felix/calc/felix-settings.ts';
import type { RouteUpdate, VtepUpdate } from '../../../../agents/felix/calc/messages.ts';
import type { ActualOverlay } from '../../../../agents/felix/tunnels/overlay-commands.ts';
import type { Overlay, OverlayInputs, Underlay } from '../../../../agents/felix/tunnels/overlay-model.ts';

export const OWN = 'n1';
export const FAR = 'n2';

export function vtep(node: string, octet: number): VtepUpdate {
  return {
    node,
    mac: `66:00:00:00:00:0${octet}`,
    ipv4: `10.65.${octet}.0`,
    parentIpv4: `172.30.0.1${octet}`,
    macV6: `66:00:00:00:06:0${octet}`,
    ipv6: `fd65::${octet}00`,
    parentIpv6: `fd30::1${octet}`,
  };
}

/** A block of the far node in a VXLAN pool. */
export function route(dst: string, more: Partial<RouteUpdate> = {}): RouteUpdate {
  return {
    dst,
    types: ['remote-workload'],
    pool: 'vxlan',
    node: FAR,
    nodeIp: dst.includes(':') ? 'fd30::12' : '172.30.0.12',
    tunnel: undefined,
    natOutgoing: false,
    localWorkload: false,
    borrowed: false,
    sameSubnet: false,
    ...more,
  };
}

const UNDERLAY: Underlay = {
  interfaceOf: (address) =>
    ['172.30.0.11', 'fd30::11'].includes(address) ? { name: 'eth0', mtu: 1500 } : undefined,
  mtu: 1500,
};

export function inputs(routes: readonly RouteUpdate[], more: Partial<OverlayInputs> = {}): OverlayInputs {
  return {
    hostname: OWN,
    nodeAddress: { 4: '172.30.0.11', 6: 'fd30::11' },
    encapsulation: { ipip: false, vxlan: true, vxlanV6: true, noEncap: false },
    vteps: new Map([vtep(OWN, 1), vtep(FAR, 2)].map((end) => [end.node, end])),
    routes: new Map(routes.map((each) => [each.dst, each])),
    hosts: new Map(),
    wireguards: new Map(),
    publicKeys: { 4: undefined, 6: undefined },
    settings: DEFAULT_FELIX_SETTINGS,
    underlay: UNDERLAY,
    ...more,
  };
}

/** The kernel as it is when all of it has been written, but for `more`. */
export function there(overlay: Overlay, more: Partial<ActualOverlay> = {}): ActualOverlay {
  return {
    ...overlay,
    links: overlay.links.map(({ address, ...link }) => ({
      ...link,
      isUp: true,
      addresses: address === undefined ? [] : [address],
    })),
    ...more,
  };
}
