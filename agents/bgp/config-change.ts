// What a change of the configuration means: a new speaker, or for each peer a new session, another judgement of its paths,
// or only other times (docs/bgp.md "Configuration").

import type { PeerConfig, SpeakerConfig } from './config.ts';

/** Whether the change needs a new speaker: what every session and every table is built on is different. */
export function needsNewSpeaker(before: SpeakerConfig, after: SpeakerConfig): boolean {
  const base = ({ routerId, asn, kernel }: SpeakerConfig): string =>
    JSON.stringify([routerId, asn, kernel.enabled, kernel.protocol, kernel.maxPaths]);
  return base(before) !== base(after);
}

export type PeerChange = 'none' | 'rib' | 'timers' | 'session';

/**
 * `session`: only a new session can carry the change; `timers`: it is offered in the next OPEN; `rib`: paths are judged
 * again under the running session.
 */
export function peerChange(before: PeerConfig, after: PeerConfig): PeerChange {
  if (sessionFields(before) !== sessionFields(after)) return 'session';
  if (JSON.stringify(ribFields(before)) !== JSON.stringify(ribFields(after))) return 'rib';
  return timerFields(before) === timerFields(after) ? 'none' : 'timers';
}

/** All but what the RIB judges and what `timerFields` has. */
function sessionFields(peer: PeerConfig): string {
  const { rib, address, ...fields } = peer;
  return JSON.stringify({ ...fields, ...NOT_OF_THE_SESSION });
}

function timerFields(peer: PeerConfig): string {
  return JSON.stringify(Object.keys(NOT_OF_THE_SESSION).map((name) => peer[name as keyof PeerConfig]));
}

/** What counts from the next OPEN or attempt on, or is asked while the session runs. */
const NOT_OF_THE_SESSION = {
  description: undefined,
  enabled: undefined,
  shutdownText: undefined,
  passive: undefined,
  removal: undefined,
  holdTimeSeconds: undefined,
  keepaliveSeconds: undefined,
  connectRetrySeconds: undefined,
  gracefulRestartSeconds: undefined,
  maxPrefixesRestartSeconds: undefined,
} satisfies Partial<Record<keyof PeerConfig, undefined>>;

/** Addresses in policies are bigints, which JSON has not. */
function ribFields(peer: PeerConfig): unknown {
  return JSON.parse(
    JSON.stringify(peer.rib, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    ),
  );
}
