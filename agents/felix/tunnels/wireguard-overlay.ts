// What of WireGuard this host's kernel is to have: device, peers, a routing table of its own and the rule that leads there, worked out
// from the calculation graph's messages (Felix's wireguard_mgr.go, wireguard.go). Pure; docs/dataplane.md "WireGuard".

import {
  type Cidr,
  type Family,
  familyBits,
  formatCidr,
  formatIp,
  parseCidr,
  parseIp,
  withoutLength,
} from '../../../lib/net/ip.ts';
import type { RouteUpdate, WireguardUpdate } from '../calc/messages.ts';
import {
  type OverlayInputs,
  type TunnelLink,
  type TunnelRoute,
  type TunnelRule,
  WIREGUARD_MARK,
  WIREGUARD_TABLES,
  type WireguardPeer,
} from './overlay-model.ts';
import { hostMtu, tunnelMtu, usedWireguard } from './tunnel-mtu.ts';

export interface WireguardOverlay {
  readonly link: TunnelLink;
  readonly routes: readonly TunnelRoute[];
  readonly rule: TunnelRule;
}

/**
 * Undefined where it is not asked for, or there is no key of ours. The device comes first and its address later: a node gets one
 * only after its key is known to all.
 */
export function wireguardOverlay(inputs: OverlayInputs, family: Family): WireguardOverlay | undefined {
  const publicKey = inputs.publicKeys[family];
  const { settings, hostname } = inputs;
  if (!usedWireguard(settings).includes(family) || publicKey === undefined) return undefined;
  const { interfaceName: name, port } = settings.wireguard[family];
  const networks = networksByNode(inputs, family);
  const peers = peersByNode(inputs, family, publicKey, networks);
  const table = WIREGUARD_TABLES[family];
  return {
    link: {
      name,
      kind: 'wireguard',
      family,
      mac: undefined,
      mtu: tunnelMtu('wireguard', family, settings, hostMtu(inputs)),
      address: addressOf(inputs.wireguards.get(hostname), family),
      vxlan: undefined,
      wireguard: {
        publicKey,
        port,
        mark: WIREGUARD_MARK,
        peers: [...peers.values()].sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1)),
      },
    },
    routes: [...networks].flatMap(([node, dsts]) => {
      const device = peers.has(node) ? name : undefined;
      return dsts.map((dst): TunnelRoute => ({ dst, device, via: undefined, table }));
    }),
    rule: { family, priority: settings.wireguardRulePriority, mark: WIREGUARD_MARK, table },
  };
}

/** Canonical and sorted. Of our own only what could lie within another node's: the main table knows the way to it. */
function networksByNode(
  { routes, hostname }: OverlayInputs,
  family: Family,
): ReadonlyMap<string, readonly string[]> {
  const networks = new Map<string, string[]>();
  for (const route of routes.values()) {
    const cidr = parseCidr(route.dst);
    if (cidr?.family !== family || route.node === undefined || !isTunnelled(route)) continue;
    if (route.node === hostname && !isBlock(cidr) && !route.borrowed) continue;
    networks.set(route.node, [...(networks.get(route.node) ?? []), formatCidr(cidr)]);
  }
  for (const dsts of networks.values()) dsts.sort();
  return networks;
}

/** Workloads, and the ends of tunnels: not the nodes themselves (that is Calico's host encryption). */
function isTunnelled({ types }: RouteUpdate): boolean {
  const isHost = types.includes('remote-host') || types.includes('local-host');
  return !isHost && types.some((type) => /-(workload|tunnel)$/.test(type));
}

function isBlock(cidr: Cidr): boolean {
  return cidr.length < familyBits(cidr.family);
}

/**
 * Nodes that traffic can be encrypted to: with a key, which must be theirs alone, and an address. What is for others goes as without
 * WireGuard.
 */
function peersByNode(
  { hostname, hosts, wireguards, settings }: OverlayInputs,
  family: Family,
  ownKey: string,
  networks: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, WireguardPeer> {
  const { port } = settings.wireguard[family];
  const others = [...wireguards.values()].filter(({ host }) => host !== hostname);
  const claims = new Map<string, number>([[ownKey, 1]]);
  for (const other of others) {
    const key = keyOf(other, family);
    if (key !== undefined) claims.set(key, (claims.get(key) ?? 0) + 1);
  }
  const peers = new Map<string, WireguardPeer>();
  for (const other of others) {
    const publicKey = keyOf(other, family);
    const address = canonical(hosts.get(other.host)?.[family === 4 ? 'ipv4' : 'ipv6']);
    if (publicKey === undefined || address === undefined || claims.get(publicKey) !== 1) continue;
    peers.set(other.host, {
      publicKey,
      endpoint: `${family === 6 ? `[${address}]` : address}:${port}`,
      allowedIps: networks.get(other.host) ?? [],
      keepAliveSeconds: settings.wireguardKeepAliveSeconds,
    });
  }
  return peers;
}

function keyOf({ key, keyV6 }: WireguardUpdate, family: Family): string | undefined {
  return family === 4 ? key : keyV6;
}

function addressOf(end: WireguardUpdate | undefined, family: Family): string | undefined {
  return canonical(family === 4 ? end?.ipv4 : end?.ipv6);
}

/** As the kernel's tools print it. */
function canonical(text: string | undefined): string | undefined {
  const address = text === undefined ? undefined : parseIp(withoutLength(text));
  return address === undefined ? undefined : formatIp(address);
}
