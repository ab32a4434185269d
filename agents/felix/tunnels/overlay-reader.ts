// Reads what the kernel has of tunnels, and of the host's own interfaces, through the kernel writer, with `bridge` for forwarding entries
// and `wg` for devices that are WireGuard's.

import { FAMILIES, type Family } from '../../../lib/net/ip.ts';
import { type FelixSettings, isWorkloadInterface } from '../calc/felix-settings.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import {
  forwardingEntries,
  tunnelLinks,
  tunnelNeighbours,
  tunnelRoutes,
  tunnelRules,
  underlayOf,
  wireguardConfiguration,
} from './kernel-overlay.ts';
import type { ActualLink, ActualOverlay } from './overlay-commands.ts';
import { type TunnelRoute, type TunnelRule, type Underlay, WIREGUARD_TABLES } from './overlay-model.ts';

export type ReadingWriter = Pick<KernelWriterClient, 'list' | 'bridgeJson' | 'showWireguard'>;

/** `withWireguard`: what there is of it is asked for too, which takes commands. */
export async function readOverlay(
  writer: ReadingWriter,
  felix: FelixSettings,
  withWireguard: boolean,
): Promise<ActualOverlay> {
  const links = [
    ...(await readLinks(writer, felix, ['vxlan', 'ipip'])),
    ...(withWireguard ? await readWireguard(writer, felix) : []),
  ];
  const [routes, rules, onLinks] = await Promise.all([
    Promise.all(FAMILIES.map((family) => readRoutes(writer, felix, family, withWireguard))),
    Promise.all((withWireguard ? FAMILIES : []).map((family) => readRules(writer, family))),
    Promise.all(links.filter(({ kind }) => kind === 'vxlan').map((link) => readOnLink(writer, link))),
  ]);
  return {
    links,
    routes: routes.flat(),
    rules: rules.flat(),
    neighbours: onLinks.flatMap(({ neighbours }) => neighbours),
    forwarding: onLinks.flatMap(({ forwarding }) => forwarding),
  };
}

export async function readUnderlay(writer: ReadingWriter, felix: FelixSettings): Promise<Underlay> {
  return underlayOf(await writer.list({ what: 'links', withAddresses: true }), felix.mtuInterfaces);
}

async function readLinks(
  writer: ReadingWriter,
  { wireguard }: FelixSettings,
  kinds: readonly string[],
): Promise<readonly ActualLink[]> {
  const names = { 4: wireguard[4].interfaceName, 6: wireguard[6].interfaceName };
  return tunnelLinks(await writer.list({ what: 'links', kinds: [...kinds], withAddresses: true }), names);
}

/** A `tun` is WireGuard's if `wg` can read it (wireguard-go); others of that name are somebody else's, and stay. */
async function readWireguard(writer: ReadingWriter, felix: FelixSettings): Promise<readonly ActualLink[]> {
  const configured = async (link: ActualLink): Promise<ActualLink> => {
    const dump = link.kind === 'wireguard' ? await writer.showWireguard(link.name) : undefined;
    const configuration = dump === undefined ? undefined : wireguardConfiguration(dump);
    return configuration === undefined ? link : { ...link, wireguard: configuration };
  };
  const inKernel = await readLinks(writer, felix, ['wireguard']);
  const inUserspace = await Promise.all((await readLinks(writer, felix, ['tun'])).map(configured));
  return [
    ...(await Promise.all(inKernel.map(configured))),
    ...inUserspace.filter((link) => link.wireguard !== undefined),
  ];
}

async function readRules(writer: ReadingWriter, family: Family): Promise<readonly TunnelRule[]> {
  return tunnelRules(family, await writer.list({ what: 'rules', family }));
}

/** Of the main table and of WireGuard's. */
async function readRoutes(
  writer: ReadingWriter,
  { routeProtocol, interfacePrefixes }: FelixSettings,
  family: Family,
  withWireguard: boolean,
): Promise<readonly TunnelRoute[]> {
  const isWorkload = (device: string): boolean => isWorkloadInterface(interfacePrefixes, device);
  const show = (ofTable: { readonly table?: number }): Promise<unknown> =>
    writer.list({ what: 'routes', family, protocol: routeProtocol, ...ofTable });
  const main = tunnelRoutes(await show({}), isWorkload);
  if (!withWireguard) return main;
  const table = WIREGUARD_TABLES[family];
  return [...main, ...tunnelRoutes(await show({ table }), isWorkload, table)];
}

async function readOnLink(
  writer: ReadingWriter,
  { name, family }: ActualLink,
): Promise<Pick<ActualOverlay, 'neighbours' | 'forwarding'>> {
  return {
    neighbours: tunnelNeighbours(name, family, await writer.list({ what: 'neighbours' })),
    forwarding: forwardingEntries(name, await writer.bridgeJson(['fdb', 'show', 'dev', name])),
  };
}
