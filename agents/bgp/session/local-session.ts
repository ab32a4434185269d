// Our side of a session as the state machine takes it, from a peer's configuration and what the speaker is going through.

import type { PeerConfig } from '../config.ts';
import type { LocalSession } from '../fsm/negotiate.ts';

export interface SpeakerIdentity {
  readonly routerId: number;
  /** R bit: we are coming back from a restart. */
  readonly isRestarting: () => boolean;
  /**
   * F bit: what we had learned is still in the kernel. Not so after a fresh start: a peer that still holds routes of an
   * earlier life of ours must drop them.
   */
  readonly hasKeptForwarding: (hadSession: boolean) => boolean;
}

export function localSessionOf(
  config: PeerConfig,
  identity: SpeakerIdentity,
  past: { readonly hadSession: boolean; readonly refusedCapabilities: boolean },
): LocalSession {
  const { gracefulRestartSeconds } = config;
  const gracefulRestart = {
    restartTimeSeconds: gracefulRestartSeconds,
    restarted: identity.isRestarting(),
    forwardingKept: identity.hasKeptForwarding(past.hadSession),
  };
  return {
    asn: config.localAsn,
    bgpIdentifier: identity.routerId,
    peerAsns: config.asns,
    holdTimeSeconds: config.holdTimeSeconds,
    keepaliveSeconds: config.keepaliveSeconds,
    families: config.families,
    addPaths: config.addPaths,
    extendedNextHop: config.extendedNextHop,
    role: config.role,
    strictRole: config.strictRole,
    enforceFirstAs: config.enforceFirstAs,
    requireCapabilities: config.requireCapabilities,
    withoutCapabilities: past.refusedCapabilities,
    ...(gracefulRestartSeconds === 0 ? {} : { gracefulRestart }),
  };
}
