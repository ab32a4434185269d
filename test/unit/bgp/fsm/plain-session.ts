// Our side of a session in tests: what most of them do not care for, switched off.

import type { LocalSession } from '../../../../agents/bgp/fsm/negotiate.ts';

export const PLAIN_SESSION = {
  addPaths: { receive: false, send: false },
  extendedNextHop: false,
  strictRole: false,
  enforceFirstAs: true,
  requireCapabilities: [],
  withoutCapabilities: false,
} satisfies Partial<LocalSession>;

/** Peers of just this AS number. */
export function only(asn: number): LocalSession['peerAsns'] {
  return [{ from: asn, to: asn }];
}
