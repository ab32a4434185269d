// Why a peer is told of a destination or not, in a sentence.

import type { NotTold } from '../rib/rib-view.ts';
import type { PeerSession } from '../session/peer-session.ts';

export interface AdvertiseFacts {
  readonly peer: Pick<PeerSession, 'name' | 'why' | 'config'>;
  /** What of the export policy has rejected the path. */
  readonly rejectedBy: () => string;
}

export function notToldWords(reason: NotTold, { peer, rejectedBy }: AdvertiseFacts): string {
  switch (reason) {
    case 'notEstablished':
      return `there is no session: ${peer.why?.sentence ?? 'it has just ended'}`;
    case 'noBestPath':
      return 'no path was selected';
    case 'undecided':
      return 'it is being decided';
    case 'restarting':
      return 'after our restart nothing is selected before all peers have sent their tables (RFC 4724)';
    case 'isSource':
      return 'the best path comes from this peer';
    case 'isNextHop':
      return "the next hop is the peer's own address (RFC 4271 5.1.3)";
    case 'tooLarge':
      return 'no message to this peer has room for the attributes (RFC 8654)';
    case 'familyNotNegotiated':
      return 'the address family was not agreed on for the session';
    case 'internalToInternal':
      return 'the best path comes from an internal peer, and neither that one nor this is a client of ours (RFC 4456)';
    case 'noAdvertise':
      return 'the path carries the community NO_ADVERTISE';
    case 'noExport':
      return 'the path carries the community NO_EXPORT, and this peer is external';
    case 'exportPolicy':
      return `rejected by ${rejectedBy()}`;
    case 'onlyToCustomer':
      return 'ONLY_TO_CUSTOMER forbids it towards a peer of this role (RFC 9234)';
    case 'noNextHop':
      return 'we have no next hop of its family that the peer could use: set nextHops';
  }
}
