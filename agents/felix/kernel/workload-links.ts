// A workload's pair of interfaces, made and looked at by netlink messages of our own (docs/dataplane.md "Kernel writer"):
// nothing is spawned, so that a pod waits milliseconds for its interface on a busy host too.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { ipBytes, parseCidr, parseIp } from '../../../lib/net/ip.ts';
import type {
  PodAddresses,
  Sysctl,
  WorkloadLinkState,
  WorkloadPair,
} from '../../../lib/protocol/kernel-writer.ts';
import type { NetlinkMessage } from './netlink/message.ts';
import { NamespaceSwitch, withFile } from './netlink/network-namespace.ts';
import {
  type AddressBytes,
  addAddress,
  createPair,
  decodeLink,
  decodeRoute,
  deleteLink,
  getLink,
  getRoute,
  type LinkView,
  type RouteParts,
  raiseLink,
  setPermanentNeighbour,
  setRoute,
} from './netlink/route-messages.ts';
import { NetlinkError, NetlinkFamily, NetlinkSocket } from './netlink/socket.ts';

export const NO_LINK: readonly number[] = [constants.errno.ENODEV];
/** The last two: the longest match is a blackhole, as of the host's own blocks, or a prohibition. */
const NO_ROUTE: readonly number[] = [
  constants.errno.ENETUNREACH,
  constants.errno.EHOSTUNREACH,
  constants.errno.ESRCH,
  constants.errno.EINVAL,
  constants.errno.EACCES,
];

export class WorkloadLinks {
  readonly #socket = new NetlinkSocket(NetlinkFamily.route);
  readonly #namespaces = new NamespaceSwitch();

  /** Throws NetlinkError, or what opening the namespace or writing a sysctl of the host throws. */
  makePair(pair: WorkloadPair): void {
    const { hostName, hostMac, podName, podMac, mtu } = pair;
    withFile(pair.netns, (namespace) => {
      this.deleteLink(hostName);
      const host = { name: hostName, mac: hostMac, mtu };
      step(`pair ${hostName}`, () =>
        this.#socket.request(createPair(host, { name: podName, mac: podMac, mtu }, namespace)),
      );
      writeSysctls(pair.hostSysctls);
      step(`namespace ${pair.netns}`, () => this.#namespaces.within(namespace, () => setUpPod(pair)));
    });
  }

  /** Throws NetlinkError, or what opening the namespace throws. */
  addressPod(parts: PodAddresses): void {
    const { netns } = parts;
    withFile(netns, (namespace) =>
      step(`namespace ${netns}`, () => this.#namespaces.within(namespace, () => address(parts))),
    );
  }

  /** False if there was none. Throws NetlinkError. */
  deleteLink(name: string): boolean {
    return ask(this.#socket, deleteLink(name), NO_LINK) !== 'notThere';
  }

  /** Throws NetlinkError. */
  state(interfaceName: string, addresses: readonly string[], routeProtocol: number): WorkloadLinkState {
    const link = findLink(this.#socket, interfaceName);
    if (link === undefined) return { link: 'missing', unrouted: [...addresses] };
    const unrouted = addresses.filter((address) => {
      const answer = ask(this.#socket, getRoute(bytesOf(address)), NO_ROUTE);
      const route = answer === 'notThere' ? undefined : decodeRoute(answer);
      // A lookup finds the longest match: the host's own route, or else a wider one.
      return (
        route?.length !== bytesOf(address).length * 8 ||
        route.protocol !== routeProtocol ||
        route.interfaceIndex !== link.index
      );
    });
    return { link: link.isUp ? 'up' : 'down', unrouted };
  }
}

/** In the pod's namespace: sysctls first, as they decide whether the interface may have IPv6 addresses. */
function setUpPod(pair: WorkloadPair): void {
  for (const { path, value } of pair.podSysctls) {
    try {
      writeFileSync(`/proc/sys/${path}`, value);
    } catch {
      // A namespace without IPv6, or a /proc/sys that is read-only: then what needs it fails by itself.
    }
  }
  withSocket((socket) => {
    socket.request(raiseLink(indexOf(socket, 'lo')));
    socket.request(raiseLink(indexOf(socket, pair.podName)));
  });
}

/** In the pod's namespace. */
function address({ podName, addresses, neighbours, routes }: PodAddresses): void {
  withSocket((socket) => {
    const index = indexOf(socket, podName);
    for (const each of addresses)
      step(`address ${each}`, () => socket.request(addAddress(index, bytesOf(each))));
    for (const { address: gateway, mac } of neighbours)
      step(`neighbour ${gateway}`, () => socket.request(setPermanentNeighbour(index, bytesOf(gateway), mac)));
    for (const route of routes)
      step(`route ${route.net}`, () => socket.request(setRoute(index, routeParts(route))));
  });
}

/** A socket is of the namespace in which it was made. */
function withSocket(work: (socket: NetlinkSocket) => void): void {
  const socket = new NetlinkSocket(NetlinkFamily.route);
  try {
    work(socket);
  } finally {
    socket.close();
  }
}

function routeParts({ net, via }: PodAddresses['routes'][number]): RouteParts {
  const cidr = parseCidr(net);
  if (cidr === undefined) throw new Error(`${net} is no network`);
  const destination = Buffer.from(ipBytes({ family: cidr.family, value: cidr.base }));
  return { destination, length: cidr.length, ...(via === undefined ? {} : { gateway: bytesOf(via) }) };
}

function bytesOf(text: string): AddressBytes {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return Buffer.from(ipBytes(address));
}

function findLink(socket: NetlinkSocket, name: string): LinkView | undefined {
  const answer = ask(socket, getLink(name), NO_LINK);
  return answer === 'notThere' ? undefined : decodeLink(answer);
}

function indexOf(socket: NetlinkSocket, name: string): number {
  const link = findLink(socket, name);
  if (link === undefined) throw new NetlinkError(constants.errno.ENODEV, `no interface ${name}`);
  return link.index;
}

/** `absent`: refusals that mean that there is none. */
export function ask(
  socket: NetlinkSocket,
  message: NetlinkMessage,
  absent: readonly number[],
): NetlinkMessage | undefined | 'notThere' {
  try {
    return socket.request(message);
  } catch (error) {
    if (error instanceof NetlinkError && absent.includes(error.type.errno)) return 'notThere';
    throw error;
  }
}

/** A refusal says what it was that was refused. */
function step(what: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (error instanceof NetlinkError) throw error.at(what);
    throw error;
  }
}

/** Those that stand otherwise, with the value that they have now; one that is not there, or an interface that has gone, has none. */
export function wrongSysctls(entries: readonly Sysctl[]): Sysctl[] {
  return entries.flatMap(({ path, value }) => {
    const now = readSysctl(path);
    return now === undefined || now === value ? [] : [{ path, value: now }];
  });
}

function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${path}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/**
 * Writes only what differs: where /proc/sys is read-only, values that are right already are no fault. A host without IPv6 has
 * none of its settings, and needs none.
 */
export function writeSysctls(entries: readonly Sysctl[]): void {
  for (const { path, value } of entries) {
    const file = `/proc/sys/${path}`;
    if (path.startsWith('net/ipv6/') && !existsSync('/proc/sys/net/ipv6')) continue;
    if (readFileSync(file, 'utf8').trim() !== value) writeFileSync(file, value);
  }
}
