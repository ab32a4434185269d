// What the kernel has of tunnels, from the JSON of `ip` and `bridge`: devices by Calico's names, their neighbours and forwarding
// entries, and the routes of Felix's protocol number that lead to no workload. Pure; what cannot be read counts as absent.

import { z } from 'zod';
import { canonicalCidr, formatIp, parseIp } from '../../../lib/net/ip.ts';
import type { ForwardingEntry, TunnelKind, TunnelNeighbour, TunnelRoute, Underlay } from './overlay.ts';
import { TUNNEL_DEVICES } from './overlay.ts';
import type { ActualLink } from './overlay-commands.ts';

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

const neighbourSchema = z.object({ dst: z.string(), lladdr: z.string().optional() });
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

function listOf<Entry>(schema: z.ZodType<Entry>, json: unknown): readonly Entry[] {
  return (Array.isArray(json) ? json : []).flatMap((entry) => {
    const parsed = schema.safeParse(entry);
    return parsed.success ? [parsed.data] : [];
  });
}

/** Of `ip -d -j addr show`: tunnel devices with Calico's names, whatever they are. */
export function tunnelLinks(json: unknown): readonly ActualLink[] {
  return listOf(linkSchema, json).flatMap((link): ActualLink[] => {
    const { ifname: name, mtu, flags, address } = link;
    const family = name === TUNNEL_DEVICES.vxlan6 ? 6 : 4;
    if (!Object.values<string>(TUNNEL_DEVICES).includes(name)) return [];
    const kind = kindOf(link);
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

/** One that is neither is of the wrong kind for its name, so it is made anew. */
function kindOf({ ifname, linkinfo }: ListedLink): TunnelKind {
  if (linkinfo?.info_kind === 'vxlan') return 'vxlan';
  if (linkinfo?.info_kind === 'ipip') return 'ipip';
  return ifname === TUNNEL_DEVICES.ipip4 ? 'vxlan' : 'ipip';
}

function vxlanOf({ linkinfo }: ListedLink): ActualLink['vxlan'] {
  const { id, port, local, local6, link } = linkinfo?.info_data ?? {};
  const own = local ?? local6;
  return id === undefined || port === undefined || own === undefined || link === undefined
    ? undefined
    : { vni: id, port, local: own, parent: link };
}

/** Of `ip -j neigh show dev DEVICE nud permanent`, which does not name the device again. */
export function tunnelNeighbours(device: string, json: unknown): readonly TunnelNeighbour[] {
  return listOf(neighbourSchema, json).flatMap(({ dst, lladdr }) =>
    lladdr === undefined ? [] : [{ device, address: dst, mac: lladdr.toLowerCase() }],
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

/** Of `ip -j route show proto 80`: those that lead to no workload. */
export function tunnelRoutes(json: unknown, isWorkload: (device: string) => boolean): readonly TunnelRoute[] {
  return listOf(routeSchema, json).flatMap(({ type, dst, gateway, dev }): TunnelRoute[] => {
    const network = canonicalCidr(dst);
    if (network === undefined || (dev !== undefined && isWorkload(dev))) return [];
    return type === 'blackhole'
      ? [{ dst: network, device: undefined, via: undefined }]
      : [{ dst: network, device: dev, via: gateway }];
  });
}

/** Of `ip -j addr show up`. `pattern` names the interfaces whose least MTU is the host's. */
export function underlayOf(json: unknown, pattern: RegExp): Underlay {
  const links = listOf(linkSchema, json);
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
