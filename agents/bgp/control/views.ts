// What the control socket shows of a speaker: status and RIB as the plain values of lib/protocol/bgpd.ts.

import { formatCidr, formatIp, parseCidr } from '../../../lib/net/ip.ts';
import type { BgpdDestination, BgpdPath, BgpdPeerStatus } from '../../../lib/protocol/bgpd.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import { formatAsPath } from '../packet/attributes/as-path.ts';
import { ADDRESS_FAMILIES, type AddressFamily, roleName } from '../packet/iana.ts';
import type { Verdict } from '../rib/decision.ts';
import type { Destination } from '../rib/loc-rib.ts';
import { type Path, prefixKey } from '../rib/path.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';
import { describeCapability } from './capability-view.ts';

export function peerStatus(speaker: Speaker, peer: PeerSession): BgpdPeerStatus {
  const { config, session, why } = peer;
  const { state, since, flaps, lastError, messages } = peer.status;
  const adjRibIn = speaker.rib.adjRibIn(peer.name);
  const adjRibOut = speaker.rib.adjRibOut(peer.name);
  const sum = (count: (family: AddressFamily) => number): number =>
    ADDRESS_FAMILIES.reduce((total, family) => total + count(family), 0);
  let accepted = 0;
  for (const path of adjRibIn?.paths() ?? []) if (path.ineligible === undefined) accepted++;
  return {
    name: peer.name,
    address: config.addressText,
    asn: session?.peerAsn ?? config.asn,
    ...(config.description === undefined ? {} : { description: config.description }),
    ...(config.dynamic === undefined ? {} : { dynamic: config.dynamic }),
    enabled: config.enabled,
    state,
    since: since.toISOString(),
    passive: config.passive,
    md5: config.password !== undefined,
    ...(config.ttlSecurity === undefined ? {} : { ttlSecurity: config.ttlSecurity }),
    ...(why === undefined ? {} : { why }),
    ...(session === undefined ? {} : { session: sessionView(speaker, peer, session) }),
    prefixes: {
      received: sum((family) => adjRibIn?.size(family) ?? 0),
      accepted,
      advertised: sum((family) => adjRibOut?.size(family) ?? 0),
      stale: speaker.rib.staleCount(peer.name),
    },
    messages,
    flaps,
    ...(lastError === undefined
      ? {}
      : { lastError: { time: lastError.time.toISOString(), reason: lastError.reason } }),
  };
}

function sessionView(
  speaker: Speaker,
  peer: PeerSession,
  session: NegotiatedSession,
): NonNullable<BgpdPeerStatus['session']> {
  const { context, capabilities, role } = session;
  const { unsent = 0, kernel } = peer.queue ?? {};
  return {
    localAddress: peer.localAddress ?? '',
    routerId: identifierText(session.peerIdentifier),
    holdTimeSeconds: session.holdTimeSeconds,
    keepaliveSeconds: session.keepaliveSeconds,
    families: [...context.families],
    gracefulRestart: session.gracefulRestart !== undefined,
    fourOctetAs: context.fourOctetAs,
    extendedMessage: context.maxMessageLength > 4096,
    routeRefresh: session.routeRefresh,
    enhancedRefresh: context.enhancedRefresh,
    extendedNextHop: context.extendedNextHop,
    addPaths: { receive: [...context.addPathReceive], send: [...context.addPathSend] },
    ...(role === undefined ? {} : { role: roleName(role) }),
    capabilities: {
      ours: capabilities.ours.map(describeCapability),
      theirs: capabilities.theirs.map(describeCapability),
    },
    queue: { unsent, ...(kernel === undefined ? {} : { unacknowledged: kernel }) },
    endOfRib: speaker.hasEndOfRib(peer.name),
  };
}

/** The destination of `prefix`, or the first `limit` ones; `total` counts all. */
export function ribView(
  speaker: Speaker,
  prefix: string | undefined,
  limit: number,
): { readonly destinations: readonly BgpdDestination[]; readonly total: number } {
  const destinations: BgpdDestination[] = [];
  if (prefix !== undefined) {
    const cidr = parseCidr(prefix);
    const destination = cidr === undefined ? undefined : speaker.rib.destination(cidr);
    if (destination !== undefined) destinations.push(destinationView(speaker, destination));
    return { destinations, total: destinations.length };
  }
  let total = 0;
  for (const destination of speaker.rib.destinations()) {
    total++;
    if (destinations.length < limit) destinations.push(destinationView(speaker, destination));
  }
  return { destinations, total };
}

function destinationView(speaker: Speaker, destination: Destination): BgpdDestination {
  const key = prefixKey(destination.prefix);
  const advertisedTo = [...speaker.peers]
    .filter((peer) => speaker.rib.adjRibOut(peer.name)?.get(key) !== undefined)
    .map((peer) => peer.name);
  const paths = [...destination.decision.verdicts].map(([path, verdict]) => {
    // Stale marks stand in Adj-RIB-In; the decision does not look at them.
    const held =
      path.source.kind === 'peer' ? speaker.rib.adjRibIn(path.source.name)?.get(path.family, key) : undefined;
    return pathView(path, verdict, held?.stale === true);
  });
  return { prefix: formatCidr(destination.prefix), paths, advertisedTo };
}

function pathView(path: Path, verdict: Verdict, stale: boolean): BgpdPath {
  const { attributes, source } = path;
  const reason =
    verdict.verdict === 'lost' ? verdict.step : verdict.verdict === 'ineligible' ? verdict.reason : undefined;
  return {
    source: source.kind === 'local' ? 'local' : source.name,
    nextHop: formatIp(attributes.nextHop),
    asPath: formatAsPath(attributes.asPath ?? []),
    origin: attributes.origin ?? 'incomplete',
    ...(attributes.localPref === undefined ? {} : { localPref: attributes.localPref }),
    ...(attributes.multiExitDisc === undefined ? {} : { multiExitDisc: attributes.multiExitDisc }),
    communities: [
      ...(attributes.communities ?? []).map((value) => `${value >>> 16}:${value & 0xffff}`),
      ...(attributes.largeCommunities ?? []).map((parts) => parts.join(':')),
    ],
    stale,
    verdict: verdict.verdict,
    ...(reason === undefined ? {} : { reason }),
  };
}

function identifierText(identifier: number): string {
  return formatIp({ family: 4, value: BigInt(identifier) });
}
