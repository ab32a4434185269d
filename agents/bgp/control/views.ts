// What the control socket shows of a speaker: status and RIB as the plain values of lib/protocol/bgpd.ts.

import { formatCidr, formatIp, parseCidr } from '../../../lib/net/ip.ts';
import type { BgpdDestination, BgpdPath, BgpdPeerStatus } from '../../../lib/protocol/bgpd.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import { formatAsPath } from '../packet/attributes/as-path.ts';
import { ADDRESS_FAMILIES, roleName } from '../packet/iana.ts';
import type { Verdict } from '../rib/decision.ts';
import type { PathCounts } from '../rib/family-table.ts';
import type { Path } from '../rib/path.ts';
import type { Destination } from '../rib/rib-view.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';
import { describeCapability } from './capability-view.ts';

export function peerStatus(speaker: Speaker, peer: PeerSession): BgpdPeerStatus {
  const { config, session, why } = peer;
  const { state, since, flaps, lastError, messages } = peer.status;
  const sum = (count: keyof PathCounts): number =>
    ADDRESS_FAMILIES.reduce((total, family) => total + speaker.rib.counts(peer.name, family)[count], 0);
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
      received: sum('received'),
      accepted: sum('accepted'),
      advertised: speaker.rib.toldCount(peer.name),
      stale: sum('stale'),
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
  const advertisedTo = [...speaker.peers]
    .filter((peer) => speaker.rib.told(peer.name, destination.prefix).length > 0)
    .map((peer) => peer.name);
  const paths = [...destination.decision.verdicts].map(([path, verdict]) => pathView(path, verdict));
  return { prefix: formatCidr(destination.prefix), paths, advertisedTo };
}

function pathView(path: Path, verdict: Verdict): BgpdPath {
  const { attributes, source, stale } = path;
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
