// What the kernel has of tunnels, from JSON in the form of `ip` and `bridge` and from `wg`: devices by Calico's names, their neighbours,
// forwarding entries and peers, the routes of Felix's protocol number that lead to no workload, and WireGuard's rules. Pure; what cannot
// be read counts as absent.

import { z } from 'zod';
import { canonicalCidr, type Family, formatIp, parseIp } from '../../../lib/net/ip.ts';
import type { ActualLink } from './overlay-commands.ts';
import {
  type ForwardingEntry,
  TUNNEL_DEVICES,
  type TunnelKind,
  type TunnelNeighbour,
  type TunnelRoute,
  type TunnelRule,
  type Underlay,
  WIREGUARD_MARK,
  WIREGUARD_TABLES,
  type WireguardConfiguration,
  type WireguardPeer,
} from './overlay-model.ts';

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.number(),
  flags: z.array(z.string()),
  address: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z
        .object({
          id: z.number().optional(),
          port: z.number().optional(),
          local: z.string().optional(),
          local6: z.string().optional(),
          link: z.string().optional(),
        })
        .optional(),
    })
    .optional(),
  addr_info: z
    .array(
      z.object({ family: z.string().optional(), local: z.string().optional(), scope: z.string().optional() }),
    )
    .default([]),
});
type ListedLink = z.infer<typeof linkSchema>;

const neighbourSchema = z.object({ dst: z.string(), dev: z.string(), lladdr: z.string().optional() });
const forwardingSchema = z.object({
  mac: z.string(),
  dst: z.string().optional(),
  state: z.string().optional(),
});
const routeSchema = z.object({
  type: z.string().optional(),
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
});

const ruleSchema = z.object({
  priority: z.number(),
  not: z.unknown(),
  fwmark: z.string(),
  table: z.string(),
});

function listOf<Entry>(schema: z.ZodType<Entry>, json: unknown): readonly Entry[] {
  return (Array.isArray(json) ? json : []).flatMap((entry) => {
    const parsed = schema.safeParse(entry);
    return parsed.success ? [parsed.data] : [];
  });
}

/** Of `ip -d -j addr show`: tunnel devices with Calico's names, whatever they are. `wireguardNames`: WireGuard's are settings. */
export function tunnelLinks(
  json: unknown,
  wireguardNames: Readonly<Record<Family, string>>,
): readonly ActualLink[] {
  const isOfIpv6 = (name: string): boolean => name === TUNNEL_DEVICES.vxlan6 || name === wireguardNames[6];
  const names: readonly string[] = [...Object.values(TUNNEL_DEVICES), ...Object.values(wireguardNames)];
  return listOf(linkSchema, json).flatMap((link): ActualLink[] => {
    const { ifname: name, mtu, flags, address } = link;
    const family = isOfIpv6(name) ? 6 : 4;
    if (!names.includes(name)) return [];
    const isWireguardName = Object.values(wireguardNames).includes(name);
    const kind = kindOf(link, isWireguardName);
    return [
      {
        name,
        kind,
        family,
        mac: kind === 'vxlan' ? address : undefined,
        mtu,
        isUp: flags.includes('UP'),
        addresses: link.addr_info.flatMap(({ local, scope, family: of }) =>
          local === undefined || scope === 'link' || (of === 'inet6') !== (family === 6) ? [] : [local],
        ),
        vxlan: vxlanOf(link),
      },
    ];
  });
}

/** One that is none of these is of the wrong kind for its name, so it is made anew. In userspace WireGuard's device is a `tun`. */
function kindOf({ ifname, linkinfo }: ListedLink, isWireguardName: boolean): TunnelKind {
  if (linkinfo?.info_kind === 'vxlan') return 'vxlan';
  if (linkinfo?.info_kind === 'ipip') return 'ipip';
  if (linkinfo?.info_kind === 'wireguard') return 'wireguard';
  if (linkinfo?.info_kind === 'tun' && isWireguardName) return 'wireguard';
  return ifname === TUNNEL_DEVICES.ipip4 ? 'vxlan' : 'ipip';
}

function vxlanOf({ linkinfo }: ListedLink): ActualLink['vxlan'] {
  const { id, port, local, local6, link } = linkinfo?.info_data ?? {};
  const own = local ?? local6;
  return id === undefined || port === undefined || own === undefined || link === undefined
    ? undefined
    : { vni: id, port, local: own, parent: link };
}

/** Of `ip -j neigh show nud permanent`. */
export function tunnelNeighbours(device: string, family: Family, json: unknown): readonly TunnelNeighbour[] {
  return listOf(neighbourSchema, json).flatMap(({ dst, dev, lladdr }) =>
    dev !== device || dst.includes(':') !== (family === 6) || lladdr === undefined
      ? []
      : [{ device, address: dst, mac: lladdr.toLowerCase() }],
  );
}

/** Of `bridge -j fdb show dev DEVICE`: those that stay, and lead to a host. */
export function forwardingEntries(device: string, json: unknown): readonly ForwardingEntry[] {
  return listOf(forwardingSchema, json).flatMap(({ mac, dst, state }) => {
    const host = dst === undefined ? undefined : parseIp(dst);
    return host === undefined || state !== 'permanent'
      ? []
      : [{ device, mac: mac.toLowerCase(), host: formatIp(host) }];
  });
}

/** Of `ip -j route show proto 80`, for a table that is not the main one with `table`: those that lead to no workload. */
export function tunnelRoutes(
  json: unknown,
  isWorkload: (device: string) => boolean,
  table?: number,
): readonly TunnelRoute[] {
  const ofTable = table === undefined ? {} : { table };
  return listOf(routeSchema, json).flatMap(({ type, dst, gateway, dev }): TunnelRoute[] => {
    const network = canonicalCidr(dst);
    if (network === undefined || (dev !== undefined && isWorkload(dev))) return [];
    return type === 'blackhole' || type === 'throw'
      ? [{ dst: network, device: undefined, via: undefined, ...ofTable }]
      : [{ dst: network, device: dev, via: gateway, ...ofTable }];
  });
}

/** Of `ip -4 -j rule show`, or `-6`: those that lead to WireGuard's table what does not carry its mark. */
export function tunnelRules(family: Family, json: unknown): readonly TunnelRule[] {
  return listOf(ruleSchema, json).flatMap(({ priority, not, fwmark, table }): TunnelRule[] => {
    const isOurs = not !== undefined && Number(fwmark) === WIREGUARD_MARK;
    return isOurs && Number(table) === WIREGUARD_TABLES[family]
      ? [{ family, priority, mark: WIREGUARD_MARK, table: WIREGUARD_TABLES[family] }]
      : [];
  });
}

/**
 * Of `wg show DEVICE dump`: a line of the device (private key, public key, port, mark), then one of each peer (public key, preshared
 * key, endpoint, networks, last handshake, octets in and out, interval). Undefined: that is none.
 */
export function wireguardConfiguration(dump: string): WireguardConfiguration | undefined {
  const [own, ...peers] = dump.split('\n').filter((line) => line !== '');
  const [, publicKey, port, mark] = own?.split('\t') ?? [];
  if (publicKey === undefined || port === undefined || mark === undefined) return undefined;
  return {
    publicKey,
    port: Number(port),
    mark: mark === 'off' ? 0 : Number(mark),
    peers: peers
      .flatMap((line) => wireguardPeer(line) ?? [])
      .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1)),
  };
}

function wireguardPeer(line: string): WireguardPeer | undefined {
  const [publicKey, , endpoint, networks = '', , , , interval] = line.split('\t');
  if (publicKey === undefined || endpoint === undefined || interval === undefined) return undefined;
  const allowedIps = networks.split(',').flatMap((network) => canonicalCidr(network) ?? []);
  return {
    publicKey,
    endpoint,
    allowedIps: allowedIps.sort(),
    keepAliveSeconds: interval === 'off' ? 0 : Number(interval),
  };
}

/** Of `ip -j addr show`, those that are up. `pattern` names the interfaces whose least MTU is the host's. */
export function underlayOf(json: unknown, pattern: RegExp): Underlay {
  const links = listOf(linkSchema, json).filter(({ flags }) => flags.includes('UP'));
  const outer = links.filter(({ ifname }) => pattern.test(ifname));
  const owners = new Map(
    links.flatMap(({ ifname, mtu, addr_info: addresses }) =>
      addresses.flatMap(({ local }) =>
        local === undefined ? [] : [[local, { name: ifname, mtu }] as const],
      ),
    ),
  );
  return {
    interfaceOf: (address) => owners.get(address),
    mtu: outer.length === 0 ? undefined : Math.min(...outer.map(({ mtu }) => mtu)),
  };
}
