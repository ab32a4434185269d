// A routing table with peers, spoken to in values: sessions as agreed by negotiate(), messages decoded again.

import {
  type LocalSession,
  localOpen,
  type NegotiatedSession,
  negotiate,
  PLAIN_SESSION,
} from '../../../../agents/bgp/fsm/negotiate.ts';
import { formatAsPath } from '../../../../agents/bgp/packet/attributes/as-path.ts';
import type { PathAttributes } from '../../../../agents/bgp/packet/attributes/types.ts';
import type { AddressFamily } from '../../../../agents/bgp/packet/iana.ts';
import { decodeMessage } from '../../../../agents/bgp/packet/message.ts';
import { decodeUpdate } from '../../../../agents/bgp/packet/update.ts';
import {
  type RouteAttributes,
  type RouteChanges,
  routeChanges,
} from '../../../../agents/bgp/packet/validate.ts';
import { ACCEPT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import type { PeerUpdates } from '../../../../agents/bgp/rib/group-log.ts';
import { type Flush, Rib, type RibOptions } from '../../../../agents/bgp/rib/rib.ts';
import type { RibPeer, RibPeerConfig } from '../../../../agents/bgp/rib/rib-peer.ts';
import { MessageFramer } from '../../../../agents/bgp/session/framing.ts';
import {
  type Cidr,
  formatCidr,
  formatIp,
  type IpAddress,
  parseCidr,
  parseIp,
} from '../../../../lib/net/ip.ts';
import { only } from '../fsm/peer-asns.ts';

export const cidr = (text: string): Cidr => parseCidr(text) as Cidr;
export const ip = (text: string): IpAddress => parseIp(text) as IpAddress;

const LOCAL_ASN = 65000;
export const LOCAL_ID = 0x0a090001;

export function newRib(more: Partial<RibOptions> = {}): Rib {
  return new Rib({
    ...more,
    localAsn: LOCAL_ASN,
    bgpIdentifier: LOCAL_ID,
    maxPaths: 4,
    localAddresses: new Set(['10.9.0.1', 'fd09::1']),
  });
}

export interface PeerShape {
  readonly asn?: number;
  readonly config?: Partial<RibPeerConfig>;
  readonly restarted?: boolean;
  readonly forwardingKept?: boolean;
  readonly withoutGracefulRestart?: true;
  readonly families?: readonly AddressFamily[];
}

/** Peer `pN` at 10.9.0.N with identifier 10.9.0.N. */
export function ribPeer(index: number, shape: PeerShape = {}): RibPeer {
  const asn = shape.asn ?? LOCAL_ASN;
  const families = shape.families ?? ['ipv4Unicast', 'ipv6Unicast'];
  const base = { ...PLAIN_SESSION, holdTimeSeconds: 90, families };
  const gracefulRestart = { restartTimeSeconds: 120, restarted: false, forwardingKept: true };
  const ours: LocalSession = {
    ...base,
    asn: LOCAL_ASN,
    bgpIdentifier: LOCAL_ID,
    peerAsns: only(asn),
    gracefulRestart,
  };
  const theirs: LocalSession = {
    ...base,
    asn,
    bgpIdentifier: 0x0a090000 + index,
    peerAsns: only(LOCAL_ASN),
    ...(shape.withoutGracefulRestart === true
      ? {}
      : {
          gracefulRestart: {
            restartTimeSeconds: 120,
            restarted: shape.restarted ?? false,
            forwardingKept: shape.forwardingKept ?? true,
          },
        }),
  };
  const result = negotiate(ours, localOpen(theirs));
  if (!result.ok) throw new Error(result.reason);
  const session: NegotiatedSession = result.session;
  return {
    name: `p${index}`,
    address: ip(`10.9.0.${index}`),
    localAsn: LOCAL_ASN,
    session,
    nextHopSelf: new Map([
      ['ipv4Unicast', ip('10.9.0.1')],
      ['ipv6Unicast', ip('fd09::1')],
    ]),
    config: {
      importPolicy: ACCEPT_ALL,
      exportPolicy: ACCEPT_ALL,
      nextHopMode: 'auto',
      isClient: false,
      clusterId: LOCAL_ID,
      allowOwnAs: 0,
      maxPrefixes: 1000,
      ...shape.config,
    },
  };
}

export function announce(prefixes: readonly string[], attributes: Partial<RouteAttributes>): RouteChanges {
  const all: RouteAttributes = { origin: 'igp', asPath: [], nextHop: ip('10.9.0.99'), ...attributes };
  return {
    announced: [{ family: familyOf(prefixes), prefixes: prefixes.map(cidr), attributes: all }],
    withdrawn: [],
    endOfRib: [],
    faults: [],
  };
}

export function withdraw(prefixes: readonly string[]): RouteChanges {
  return {
    announced: [],
    withdrawn: [{ family: familyOf(prefixes), prefixes: prefixes.map(cidr) }],
    endOfRib: [],
    faults: [],
  };
}

export function endOfRib(family: AddressFamily): RouteChanges {
  return { announced: [], withdrawn: [], endOfRib: [family], faults: [] };
}

function familyOf(prefixes: readonly string[]): AddressFamily {
  return prefixes.some((prefix) => prefix.includes(':')) ? 'ipv6Unicast' : 'ipv4Unicast';
}

/** What the peer learns from the messages, as lines: `+prefix via next hop path [..]`, `-prefix`, `end family`. */
function lines(peer: RibPeer, updates: PeerUpdates | undefined): string[] {
  return messagesOf(updates).flatMap((message) => {
    const context = { ...peer.session.context, peerAsn: LOCAL_ASN };
    const decoded = decodeMessage(message, context);
    if (decoded.type === 'routeRefresh') return [`refresh mark ${decoded.subtype}`];
    if (decoded.type !== 'update') throw new Error(`unexpected ${decoded.type}`);
    const changes = routeChanges(decoded, context);
    return [
      ...changes.withdrawn.flatMap(({ prefixes }) => prefixes.map((prefix) => `-${formatCidr(prefix)}`)),
      ...changes.announced.flatMap(({ prefixes, attributes }) =>
        prefixes.map((prefix) => `+${formatCidr(prefix)} ${show(attributes)}`),
      ),
      ...changes.endOfRib.map((family) => `end ${family}`),
    ];
  });
}

/** The single messages: peers get them in buffers of many. */
export function messagesOf(updates: PeerUpdates | undefined): Uint8Array[] {
  const framer = new MessageFramer();
  return (updates?.buffers ?? []).flatMap((buffer) => [...framer.push(buffer, () => true)]);
}

/** The attributes of the first announcement in the messages. */
export function firstAttributes(peer: RibPeer, updates: PeerUpdates | undefined): PathAttributes | undefined {
  const [message] = messagesOf(updates);
  return message === undefined
    ? undefined
    : decodeUpdate(message.subarray(19), peer.session.context).attributes;
}

function show(attributes: RouteAttributes): string {
  return `via ${formatIp(attributes.nextHop)} [${formatAsPath(attributes.asPath ?? [])}]`;
}

/** How a session ends that leaves nothing, and one whose peer restarts gracefully. */
export const LOST = { graceful: false, sameRestart: false };
export const RESTARTS = { graceful: true, sameRestart: false };

/** What the kernel is told, a line each. */
export function forwarding(flush: Flush): string[] {
  return flush.forwarding.map(
    ({ prefix, nextHops }) => `${formatCidr(prefix)} ${nextHops.map(formatIp).join(',') || 'gone'}`,
  );
}

/** What the peer is told, as `lines`. */
export function told(flush: Flush, peer: RibPeer): string[] {
  return lines(peer, flush.updatesByPeer.get(peer.name));
}

/** Brings peers up and takes the first, empty tables away. */
export function withPeers(...peers: RibPeer[]): Rib {
  const rib = newRib();
  for (const peer of peers) rib.peerUp(peer);
  rib.flush();
  return rib;
}
