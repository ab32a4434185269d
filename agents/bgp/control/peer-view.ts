// What the control socket shows of a speaker's peers: plain values of lib/protocol/bgpd.ts.

import type { BgpdPeerStatus } from '../../../lib/protocol/bgpd-status.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import { ADDRESS_FAMILIES, roleName } from '../packet/iana.ts';
import type { PathCounts } from '../rib/path-counts.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';
import { describeCapability } from './capability-view.ts';
import { identifierText } from './route-view.ts';

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
    messages: {
      received: messages.received,
      sent: messages.sent,
      updatesReceived: messages.updatesReceived,
      updatesSent: messages.updatesSent,
    },
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
    queue: {
      unsent,
      ...(kernel === undefined ? {} : { unacknowledged: kernel }),
      ...(speaker.rib.isBehind(peer.name) ? { isBehind: true } : {}),
    },
    endOfRib: speaker.hasEndOfRib(peer.name),
  };
}
