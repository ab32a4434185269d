// bgpd's metrics (docs/bgp.md "Metrics"). Peers are named in labels, prefixes never: their number has no bound.

import { MetricsText, type Sample } from '../../../lib/metrics/metrics-text.ts';
import { REACTIONS } from '../packet/errors.ts';
import { ADDRESS_FAMILIES } from '../packet/iana.ts';
import { CONTROL_MESSAGES } from '../session/peer-counts.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';

/** What the process knows beside its speaker. */
export interface ProcessNumbers {
  readonly longestTurnMs: number;
  readonly eventsLost: number;
  readonly residentBytes: number;
}

export function metricsText(speaker: Speaker | undefined, numbers: ProcessNumbers): string {
  const text = new MetricsText();
  text.gauge('bgp_configured', '1 once a configuration is in force.', speaker === undefined ? 0 : 1);
  text.gauge(
    'bgp_event_loop_longest_turn_seconds',
    'Longest turn of the event loop since the last look, to within 5 ms.',
    numbers.longestTurnMs / 1000,
  );
  text.gauge('bgp_resident_memory_bytes', 'Resident memory of bgpd.', numbers.residentBytes);
  text.counter('bgp_events_lost_total', 'Events that slow clients have missed.', numbers.eventsLost);
  if (speaker !== undefined) {
    addSpeaker(text, speaker);
    addPeers(text, speaker, [...speaker.peers]);
  }
  return text.toString();
}

function addSpeaker(text: MetricsText, speaker: Speaker): void {
  text.gauge('bgp_peers', 'Peers, configured and dynamic.', [...speaker.peers].length);
  text.gauge('bgp_destinations', 'Prefixes with a path.', speaker.rib.size);
  text.gauge('bgp_kernel_routes', 'Routes of ours in the kernel.', speaker.kernel.installed);
  text.gauge('bgp_kernel_failures', 'Routes that the kernel refuses.', speaker.kernel.failures.length);
  text.gauge('bgp_restarting', "1 while the peers' tables are waited for.", speaker.isRestarting ? 1 : 0);
  text.summary('bgp_flush_seconds', 'Flushes, kernel and messages with them.', speaker.flushes);
  text.counter(
    'bgp_refused_connections_total',
    'Connections that were refused at once.',
    Object.entries(speaker.listener.refused).map(([reason, value]) => ({ labels: { reason }, value })),
  );
}

function addPeers(text: MetricsText, speaker: Speaker, peers: readonly PeerSession[]): void {
  const each = (samples: (peer: PeerSession) => readonly Sample[]): Sample[] => peers.flatMap(samples);
  text.gauge('bgp_peer_state', '1 for the state that the session is in.', each(stateSamples));
  text.gauge(
    'bgp_session_uptime_seconds',
    'How long the session has been Established.',
    each(({ name: peer, status: { state, since } }) =>
      state === 'Established' ? [{ labels: { peer }, value: (Date.now() - since.getTime()) / 1000 }] : [],
    ),
  );
  text.gauge(
    'bgp_prefixes',
    'Paths received, accepted by the import policy, stale, and routes advertised.',
    each((peer) => prefixSamples(speaker, peer)),
  );
  text.counter('bgp_messages_total', 'Messages by direction and type.', each(messageSamples));
  text.counter(
    'bgp_session_down_total',
    'Ends of sessions.',
    each(({ name: peer, counts }) =>
      [...counts.downs].map(([reason, value]) => ({ labels: { peer, reason }, value })),
    ),
  );
  text.counter(
    'bgp_update_errors_total',
    'Malformed UPDATEs by what they have cost (RFC 7606).',
    each(({ name: peer, counts }) =>
      REACTIONS.map((action) => ({ labels: { peer, action }, value: counts.updateErrors[action] })),
    ),
  );
  text.gauge(
    'bgp_queue_bytes',
    'Octets that wait in bgpd for the peer.',
    each(({ name: peer, queue }) => [{ labels: { peer }, value: queue?.unsent ?? 0 }]),
  );
  text.gauge(
    'bgp_peer_lagging',
    '1 while the peer does not keep up.',
    each(({ name: peer }) => [{ labels: { peer }, value: speaker.rib.isBehind(peer) ? 1 : 0 }]),
  );
}

const STATES = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established'] as const;

function stateSamples({ name: peer, status }: PeerSession): readonly Sample[] {
  return STATES.map((state) => ({ labels: { peer, state }, value: state === status.state ? 1 : 0 }));
}

function prefixSamples(speaker: Speaker, { name: peer }: PeerSession): readonly Sample[] {
  const sum = { received: 0, accepted: 0, stale: 0 };
  for (const family of ADDRESS_FAMILIES) {
    const { received, accepted, stale } = speaker.rib.counts(peer, family);
    sum.received += received;
    sum.accepted += accepted;
    sum.stale += stale;
  }
  const values = { ...sum, advertised: speaker.rib.toldCount(peer) };
  return Object.entries(values).map(([direction, value]) => ({ labels: { peer, direction }, value }));
}

function messageSamples({ name: peer, status: { messages } }: PeerSession): readonly Sample[] {
  const of = (direction: string, type: string, value: number): Sample => ({
    labels: { peer, direction, type },
    value,
  });
  return [
    of('received', 'update', messages.updatesReceived),
    of('sent', 'update', messages.updatesSent),
    ...CONTROL_MESSAGES.flatMap((type) => [
      of('received', type, messages.controlReceived[type]),
      of('sent', type, messages.controlSent[type]),
    ]),
  ];
}
