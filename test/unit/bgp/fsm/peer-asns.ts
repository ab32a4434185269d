// AS numbers of a session's peer, as most tests need them.

import type { LocalSession } from '../../../../agents/bgp/fsm/negotiate.ts';

/** Peers of just this AS number. */
export function only(asn: number): LocalSession['peerAsns'] {
  return [{ from: asn, to: asn }];
}
