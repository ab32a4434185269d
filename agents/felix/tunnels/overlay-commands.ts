// Lines for `ip -batch` and `bridge -batch` that bring the kernel's tunnels from what is there to what is wanted. Pure. All but the
// making of a device are `replace`, so that a line done twice does no harm; routes go before what they lead through.

import { familyBits, parseCidr } from '../../../lib/net/ip.ts';
import type { ForwardingEntry, Overlay, TunnelLink, TunnelNeighbour, TunnelRoute } from './overlay.ts';

export interface OverlayLine {
  readonly tool: 'ip' | 'bridge';
  readonly line: string;
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
  const routes = difference(desired.routes, actual.routes.filter(isKept), ({ dst }) => dst);
  const neighbours = difference(desired.neighbours, actual.neighbours.filter(isKept), neighbourKey);
  const forwarding = difference(desired.forwarding, actual.forwarding.filter(isKept), forwardingKey);
  return [
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
      .map((route) => setRoute(route, protocol)),
  ];
}

function difference<T extends object>(
  desired: readonly T[],
  actual: readonly T[],
  keyOf: (entry: T) => string,
): { readonly changed: readonly T[]; readonly gone: readonly T[] } {
  const text = (entry: T | undefined): string =>
    entry === undefined ? '' : JSON.stringify(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)));
  const there = new Map(actual.map((entry) => [keyOf(entry), entry]));
  const wanted = new Map(desired.map((entry) => [keyOf(entry), entry]));
  return {
    changed: [...wanted].flatMap(([key, entry]) => (text(there.get(key)) === text(entry) ? [] : [entry])),
    gone: actual.filter((entry) => !wanted.has(keyOf(entry))),
  };
}

function neighbourKey({ device, address }: TunnelNeighbour): string {
  return `${device} ${address}`;
}

/** One link-layer address may be sent to several hosts: a second one is another entry. */
function forwardingKey({ device, mac, host }: ForwardingEntry): string {
  return `${device} ${mac} ${host}`;
}

/** Kind, network identifier and port of a device cannot be changed while it is there. */
function isSameDevice(link: TunnelLink, actual: ActualLink | undefined): boolean {
  if (actual === undefined || actual.kind !== link.kind) return false;
  const [a, b] = [link.vxlan, actual.vxlan];
  return a?.vni === b?.vni && a?.port === b?.port && a?.local === b?.local && a?.parent === b?.parent;
}

function linkLines(link: TunnelLink, actual: ActualLink | undefined): readonly OverlayLine[] {
  const ip = (line: string, what: string): OverlayLine => ({ tool: 'ip', line, what, mayFail: false });
  const { name, mac, mtu, address, family } = link;
  const made = actual === undefined ? [{ ...ip(createLine(link), `device ${name}`), makes: name }] : [];
  const bits = familyBits(family);
  const nodad = family === 6 ? ' nodad' : '';
  const extra = (actual?.addresses ?? []).filter((other) => other !== address);
  return [
    ...made,
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

function createLine({ name, kind, mac, mtu, family, vxlan }: TunnelLink): string {
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
  return { tool: 'ip', line, mayFail: false, what: `neighbour ${address} on ${device}` };
}

function removeNeighbour({ device, address }: TunnelNeighbour): OverlayLine {
  // `neigh del` of one that is not there would end `ip`.
  const line = `neigh flush to ${address} dev ${device} nud permanent`;
  return { tool: 'ip', line, mayFail: true, what: `neighbour ${address} on ${device}` };
}

function setForwarding({ device, mac, host }: ForwardingEntry): OverlayLine {
  const line = `fdb replace ${mac} dev ${device} dst ${host} self permanent`;
  return { tool: 'bridge', line, mayFail: false, what: `forwarding entry ${mac} to ${host} on ${device}` };
}

function removeForwarding({ device, mac, host }: ForwardingEntry): OverlayLine {
  const line = `fdb del ${mac} dev ${device} dst ${host} self permanent`;
  return { tool: 'bridge', line, mayFail: true, what: `forwarding entry ${mac} to ${host} on ${device}` };
}

function setRoute({ dst, device, via }: TunnelRoute, protocol: number): OverlayLine {
  const isV4 = parseCidr(dst)?.family !== 6;
  const line =
    device === undefined
      ? `route replace blackhole ${dst} proto ${protocol}`
      : via === undefined
        ? `route replace ${dst} dev ${device}${isV4 ? ' scope link' : ''} proto ${protocol}`
        : `route replace ${dst} via ${via} dev ${device} onlink proto ${protocol}`;
  return { tool: 'ip', line, mayFail: false, what: `${device === undefined ? 'blackhole' : 'route'} ${dst}` };
}

function removeRoute({ dst, device }: TunnelRoute, protocol: number): OverlayLine {
  const line =
    device === undefined
      ? `route del blackhole ${dst} proto ${protocol}`
      : `route del ${dst} dev ${device} proto ${protocol}`;
  return { tool: 'ip', line, mayFail: true, what: `${device === undefined ? 'blackhole' : 'route'} ${dst}` };
}
