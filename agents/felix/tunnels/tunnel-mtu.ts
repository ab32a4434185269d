// MTU of tunnel devices and of workloads, and which tunnels are in use (Felix's determinePodMTU). Pure.

import type { Family } from '../../../lib/net/ip.ts';
import type { Encapsulation } from '../calc/messages.ts';
import type { OverlayInputs, TunnelKind, TunnelSettings } from './overlay-model.ts';

/** What a tunnel takes of each packet. */
const OVERHEAD: Readonly<Record<TunnelKind, Readonly<Record<Family, number>>>> = {
  ipip: { 4: 20, 6: 40 },
  vxlan: { 4: 50, 6: 70 },
  wireguard: { 4: 60, 6: 80 },
};
/** IPv6's least MTU; below it the kernel takes IPv6 off the device. */
const LEAST_MTU = 1280;
const DEFAULT_MTU = 1500;

/** MTU of workloads: what the host's interfaces carry, less what the tunnels in use take. */
export function workloadMtu(
  inputs: Pick<OverlayInputs, 'encapsulation' | 'settings' | 'underlay' | 'nodeAddress'>,
): number {
  const { encapsulation, settings } = inputs;
  const mtu = hostMtu(inputs);
  const uses = [
    ...usedTunnels(encapsulation, settings),
    ...usedWireguard(settings).map((family) => ({ kind: 'wireguard' as const, family })),
  ];
  return Math.min(mtu, ...uses.map(({ kind, family }) => tunnelMtu(kind, family, settings, mtu)));
}

export function hostMtu({ underlay, nodeAddress }: Pick<OverlayInputs, 'underlay' | 'nodeAddress'>): number {
  const own = nodeAddress[4] ?? nodeAddress[6];
  const carrier = own === undefined ? undefined : underlay.interfaceOf(own);
  return underlay.mtu ?? carrier?.mtu ?? DEFAULT_MTU;
}

/** Which tunnels pools or settings ask for; WireGuard, which asks for no pool, is not among them. */
export function usedTunnels(
  encapsulation: Encapsulation,
  { vxlanEnabled, ipipEnabled, hasIpv6 }: TunnelSettings,
): readonly { readonly kind: Exclude<TunnelKind, 'wireguard'>; readonly family: Family }[] {
  return [
    ...((vxlanEnabled ?? encapsulation.vxlan) ? [{ kind: 'vxlan' as const, family: 4 as const }] : []),
    // The setting is of IPv4 alone.
    ...(encapsulation.vxlanV6 && hasIpv6 ? [{ kind: 'vxlan' as const, family: 6 as const }] : []),
    ...((ipipEnabled ?? encapsulation.ipip) ? [{ kind: 'ipip' as const, family: 4 as const }] : []),
  ];
}

/** Of which families WireGuard is asked for. */
export function usedWireguard({ wireguard, hasIpv6 }: TunnelSettings): readonly Family[] {
  return ([4, 6] as const).filter((family) => wireguard[family].enabled && (family === 4 || hasIpv6));
}

export function tunnelMtu(
  kind: TunnelKind,
  family: Family,
  settings: TunnelSettings,
  hostMtu: number,
): number {
  const set = configuredMtu(kind, family, settings);
  return set > 0 ? set : Math.max(LEAST_MTU, hostMtu - OVERHEAD[kind][family]);
}

function configuredMtu(kind: TunnelKind, family: Family, settings: TunnelSettings): number {
  if (kind === 'wireguard') return settings.wireguard[family].mtu;
  if (kind === 'ipip') return settings.ipipMtu;
  return family === 4 ? settings.vxlanMtu : settings.vxlanMtuV6;
}
