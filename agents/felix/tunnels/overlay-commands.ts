// Lines for `ip -batch`, `bridge -batch` and `wg` that bring the kernel's tunnels from what is there to what is wanted. Pure. All but the
// making of a device or a rule are `replace`, so that a line done twice does no harm; rules and routes go before what they lead through.

import { familyBits, parseCidr } from '../../../lib/net/ip.ts';
import {
  type ForwardingEntry,
  type Overlay,
  type TunnelLink,
  type TunnelNeighbour,
  type TunnelRoute,
  type TunnelRule,
  WIREGUARD_TABLES,
  type WireguardConfiguration,
  type WireguardPeer,
} from './overlay-model.ts';

export interface OverlayLine {
  readonly tool: 'ip' | 'ip -6' | 'bridge' | 'wg';
  readonly line: string;
  /** What `wg` reads, but for the private key, which whoever runs it puts before it. */
  readonly input?: string;
  /** Device of ours that it is of no use without. */
  readonly device?: string;
  /** Device that is made by it: where the kernel refuses it, what needs the device is left alone. */
  readonly makes?: string;
  /** What may be gone already. */
  readonly mayFail: boolean;
  /** In words: what was put right, for the record of drift. */
  readonly what: string;
}

/** A device as the kernel has it; fields that cannot be read are undefined, and count as different. */
export type ActualLink = Omit<TunnelLink, 'address'> & {
  readonly isUp: boolean;
  readonly addresses: readonly string[];
};

export type ActualOverlay = Omit<Overlay, 'links'> & { readonly links: readonly ActualLink[] };

/** In an order in which nothing leads to what is not there. */
export function overlayLines(
  desired: Overlay,
  actual: ActualOverlay,
  protocol: number,
): readonly OverlayLine[] {
  const wantedLinks = new Map(desired.links.map((link) => [link.name, link]));
  const actualLinks = new Map(actual.links.map((link) => [link.name, link]));
  const remade = new Set(
    desired.links.filter((link) => !isSameDevice(link, actualLinks.get(link.name))).map(({ name }) => name),
  );
  // A device that is made anew has nothing of what was on the old one.
  const isKept = ({ device }: { readonly device: string | undefined }): boolean =>
    device === undefined || !remade.has(device);
  const isOnWanted = ({ device }: { readonly device: string | undefined }): boolean =>
    device === undefined || wantedLinks.has(device) || !actualLinks.has(device);
  const routes = difference(desired.routes, actual.routes.filter(isKept), routeKey);
  const rules = difference(desired.rules, actual.rules, ruleKey);
  const write: Writing = {
    protocol,
    deviceOf: (table) =>
      desired.links.find(({ kind, family }) => kind === 'wireguard' && WIREGUARD_TABLES[family] === table)
        ?.name,
  };
  const neighbours = difference(desired.neighbours, actual.neighbours.filter(isKept), neighbourKey);
  const forwarding = difference(desired.forwarding, actual.forwarding.filter(isKept), forwardingKey);
  // One that takes another's place comes before that goes: nothing in between leaves unencrypted.
  const isReplaced = (gone: TunnelRule): boolean =>
    desired.rules.some(({ family, table }) => family === gone.family && table === gone.table);
  return [
    ...rules.gone.filter((rule) => !isReplaced(rule)).map(removeRule),
    ...routes.gone.map((route) => removeRoute(route, protocol)),
    ...neighbours.gone.filter(isOnWanted).map(removeNeighbour),
    ...forwarding.gone.filter(isOnWanted).map(removeForwarding),
    ...actual.links
      .filter(({ name }) => !wantedLinks.has(name) || remade.has(name))
      .flatMap((link) => removeLink(link, !wantedLinks.has(link.name))),
    ...desired.links.flatMap((link) =>
      linkLines(link, remade.has(link.name) ? undefined : actualLinks.get(link.name)),
    ),
    ...neighbours.changed.map(setNeighbour),
    ...forwarding.changed.map(setForwarding),
    // On the link first: the kernel refuses a gateway that it would reach in another way (IPv6).
    ...[...routes.changed]
      .sort((a, b) => Number(a.via !== undefined) - Number(b.via !== undefined))
      .map((route) => setRoute(route, write)),
    // Last: until the table is whole, packets go as without it.
    ...rules.changed.map((rule) => setRule(rule, write)),
    ...rules.gone.filter(isReplaced).map(removeRule),
  ];
}

interface Writing {
  /** Protocol number of routes. */
  readonly protocol: number;
  /** To which a routing table belongs. */
  readonly deviceOf: (table: number) => string | undefined;
}

function difference<T extends object>(
  desired: readonly T[],
  actual: readonly T[],
  keyOf: (entry: T) => string,
): { readonly changed: readonly T[]; readonly gone: readonly T[] } {
  const there = new Map(actual.map((entry) => [keyOf(entry), entry]));
  const wanted = new Map(desired.map((entry) => [keyOf(entry), entry]));
  return {
    changed: [...wanted].flatMap(([key, entry]) => (sameText(entry, there.get(key)) ? [] : [entry])),
    gone: actual.filter((entry) => !wanted.has(keyOf(entry))),
  };
}

function sameText(wanted: object, there: object | undefined): boolean {
  const text = (entry: object): string =>
    JSON.stringify(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)));
  return there !== undefined && text(wanted) === text(there);
}

function neighbourKey({ device, address }: TunnelNeighbour): string {
  return `${device} ${address}`;
}

/** One link-layer address may be sent to several hosts: a second one is another entry. */
function forwardingKey({ device, mac, host }: ForwardingEntry): string {
  return `${device} ${mac} ${host}`;
}

function routeKey({ dst, table }: TunnelRoute): string {
  return `${table ?? ''} ${dst}`;
}

/** One with another priority is another rule. */
function ruleKey({ family, priority, mark, table }: TunnelRule): string {
  return `${family} ${priority} ${mark} ${table}`;
}

/** Kind, network identifier and port of a device cannot be changed while it is there. */
function isSameDevice(link: TunnelLink, actual: ActualLink | undefined): boolean {
  if (actual === undefined || actual.kind !== link.kind) return false;
  const [a, b] = [link.vxlan, actual.vxlan];
  return a?.vni === b?.vni && a?.port === b?.port && a?.local === b?.local && a?.parent === b?.parent;
}

function linkLines(link: TunnelLink, actual: ActualLink | undefined): readonly OverlayLine[] {
  const { name, mac, mtu, address, family } = link;
  const ip = (line: string, what: string): OverlayLine => ({
    ...{ tool: 'ip', line, what, mayFail: false, device: name },
  });
  const made = actual === undefined ? [{ ...ip(createLine(link), `device ${name}`), makes: name }] : [];
  const bits = familyBits(family);
  const nodad = family === 6 ? ' nodad' : '';
  const extra = (actual?.addresses ?? []).filter((other) => other !== address);
  return [
    ...made,
    ...configurationLines(link, actual?.wireguard),
    ...(actual !== undefined && mac !== undefined && actual.mac !== mac
      ? [ip(`link set dev ${name} address ${mac}`, `MAC of ${name}`)]
      : []),
    ...(actual !== undefined && actual.mtu !== mtu
      ? [ip(`link set dev ${name} mtu ${mtu}`, `MTU of ${name}`)]
      : []),
    ...extra.map((other) => ({
      ...ip(`addr del ${other}/${bits} dev ${name}`, `address ${other} of ${name}`),
      mayFail: true,
    })),
    ...(address !== undefined && actual?.addresses.includes(address) !== true
      ? [ip(`addr replace ${address}/${bits} dev ${name}${nodad}`, `address ${address} of ${name}`)]
      : []),
    ...(actual?.isUp === true ? [] : [ip(`link set dev ${name} up`, `${name} up`)]),
  ];
}

/** The whole of it each time: `syncconf` changes what differs, and leaves sessions of peers that stay alone. */
function configurationLines(
  { name, wireguard }: TunnelLink,
  actual: WireguardConfiguration | undefined,
): readonly OverlayLine[] {
  if (wireguard === undefined || sameText(wireguard, actual)) return [];
  const line = `syncconf ${name} /dev/stdin`;
  const input = configurationText(wireguard);
  const what = `configuration of ${name}`;
  // Without it the device is of no more use than none: nothing must lead there.
  return [{ tool: 'wg', line, input, device: name, makes: name, mayFail: false, what }];
}

function configurationText({ port, mark, peers }: WireguardConfiguration): string {
  const own = `[Interface]\nListenPort = ${port}\nFwMark = 0x${mark.toString(16)}\n`;
  return [own, ...peers.map(peerText)].join('\n');
}

function peerText({ publicKey, endpoint, allowedIps, keepAliveSeconds }: WireguardPeer): string {
  const lines = [
    '[Peer]',
    `PublicKey = ${publicKey}`,
    `Endpoint = ${endpoint}`,
    ...(allowedIps.length === 0 ? [] : [`AllowedIPs = ${allowedIps.join(', ')}`]),
    `PersistentKeepalive = ${keepAliveSeconds === 0 ? 'off' : keepAliveSeconds}`,
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function createLine({ name, kind, mac, mtu, family, vxlan }: TunnelLink): string {
  if (kind === 'wireguard') return `link add ${name} mtu ${mtu} type wireguard`;
  if (kind === 'ipip' || vxlan === undefined) return `link add ${name} mtu ${mtu} type ipip mode ipip`;
  const { vni, port, local, parent } = vxlan;
  const checksums = family === 6 ? ' udp6zerocsumtx udp6zerocsumrx' : '';
  return `link add ${name} address ${mac} mtu ${mtu} type vxlan id ${vni} local ${local} dev ${parent} dstport ${port} nolearning${checksums}`;
}

/** `tunl0` is the module's own and cannot be deleted: without address and down it carries nothing. */
function removeLink(
  { name, kind, isUp, addresses }: ActualLink,
  isUnwanted: boolean,
): readonly OverlayLine[] {
  const what = `device ${name}`;
  const remove = (line: string): OverlayLine => ({ tool: 'ip', line, mayFail: true, what });
  if (kind !== 'ipip' || !isUnwanted) return [remove(`link del dev ${name}`)];
  return [
    ...addresses.map((address) => remove(`addr del ${address}/32 dev ${name}`)),
    ...(isUp ? [remove(`link set dev ${name} down`)] : []),
  ];
}

function setNeighbour({ device, address, mac }: TunnelNeighbour): OverlayLine {
  const line = `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`;
  return { tool: 'ip', line, device, mayFail: false, what: `neighbour ${address} on ${device}` };
}

function removeNeighbour({ device, address }: TunnelNeighbour): OverlayLine {
  // `neigh del` of one that is not there would end `ip`.
  const line = `neigh flush to ${address} dev ${device} nud permanent`;
  return { tool: 'ip', line, mayFail: true, what: `neighbour ${address} on ${device}` };
}

function setForwarding({ device, mac, host }: ForwardingEntry): OverlayLine {
  const line = `fdb replace ${mac} dev ${device} dst ${host} self permanent`;
  const what = `forwarding entry ${mac} to ${host} on ${device}`;
  return { tool: 'bridge', line, device, mayFail: false, what };
}

function removeForwarding({ device, mac, host }: ForwardingEntry): OverlayLine {
  const line = `fdb del ${mac} dev ${device} dst ${host} self permanent`;
  return { tool: 'bridge', line, mayFail: true, what: `forwarding entry ${mac} to ${host} on ${device}` };
}

function setRoute(route: TunnelRoute, { protocol, deviceOf }: Writing): OverlayLine {
  const { dst, device, via, table } = route;
  const isV4 = parseCidr(dst)?.family !== 6;
  const way =
    device === undefined
      ? ''
      : via === undefined
        ? ` dev ${device}${isV4 ? ' scope link' : ''}`
        : ` via ${via} dev ${device} onlink`;
  const needed = device ?? (table === undefined ? undefined : deviceOf(table));
  return {
    tool: 'ip',
    line: `route replace ${typeOf(route)}${dst}${way} proto ${protocol}${inTable(table)}`,
    ...(needed === undefined ? {} : { device: needed }),
    mayFail: false,
    what: routeText(route),
  };
}

function removeRoute(route: TunnelRoute, protocol: number): OverlayLine {
  const { dst, device, table } = route;
  const way = device === undefined ? '' : ` dev ${device}`;
  const line = `route del ${typeOf(route)}${dst}${way} proto ${protocol}${inTable(table)}`;
  return { tool: 'ip', line, mayFail: true, what: routeText(route) };
}

/** Before the destination. */
function typeOf({ device, table }: TunnelRoute): string {
  if (device !== undefined) return '';
  return table === undefined ? 'blackhole ' : 'throw ';
}

function inTable(table: number | undefined): string {
  return table === undefined ? '' : ` table ${table}`;
}

function routeText(route: TunnelRoute): string {
  return `${typeOf(route).trim() || 'route'} ${route.dst}${inTable(route.table)}`;
}

function setRule(rule: TunnelRule, { deviceOf }: Writing): OverlayLine {
  const device = deviceOf(rule.table);
  return {
    ...ruleLine('add', rule),
    mayFail: false,
    ...(device === undefined ? {} : { device }),
  };
}

function removeRule(rule: TunnelRule): OverlayLine {
  return { ...ruleLine('del', rule), mayFail: true };
}

/** No address tells the family. */
function ruleLine(
  verb: 'add' | 'del',
  { family, priority, mark, table }: TunnelRule,
): Pick<OverlayLine, 'tool' | 'line' | 'what'> {
  const bits = `0x${mark.toString(16)}`;
  return {
    tool: family === 6 ? 'ip -6' : 'ip',
    line: `rule ${verb} not from all fwmark ${bits}/${bits} lookup ${table} priority ${priority}`,
    what: `rule to table ${table}`,
  };
}
