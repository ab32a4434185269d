// Connection collision detection (RFC 4271 §6.8, RFC 6286 §2.3, RFC 4724 §5): two connections with one peer, one to keep.

export interface Candidate {
  readonly state: 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';
  readonly initiatedBy: 'local' | 'peer';
}

export interface CollisionSides {
  /** BGP identifiers, unsigned 32 bits. */
  readonly localIdentifier: number;
  readonly peerIdentifier: number;
  readonly localAsn: number;
  readonly peerAsn: number;
  /** The established session's peer offered graceful restart for at least one family. */
  readonly peerRestartsGracefully: boolean;
}

/**
 * - `noCollision`: nothing to decide yet
 * - `dropOpened`, `dropOther`: the loser is closed with Cease, connection collision resolution
 * - `replaceEstablished`: the peer has restarted; the old session ends without NOTIFICATION and its routes go stale
 */
export type CollisionVerdict = 'noCollision' | 'dropOpened' | 'dropOther' | 'replaceEstablished';

/** Decides when an acceptable OPEN has come on `opened` while `other` exists. */
export function resolveCollision(
  opened: Candidate,
  other: Candidate,
  sides: CollisionSides,
): CollisionVerdict {
  if (other.state === 'Established')
    return sides.peerRestartsGracefully ? 'replaceEstablished' : 'dropOpened';
  if (other.state !== 'OpenConfirm') return 'noCollision';
  return opened.initiatedBy === winner(sides) ? 'dropOther' : 'dropOpened';
}

/**
 * Whether a connection on which our OPEN is out already may go on beside one that has just been Established: the peer
 * chooses it when our OPEN arrives, if it has not got that far. Closing it here would leave neither.
 */
export function mayStillWin(rival: Candidate, sides: CollisionSides): boolean {
  return isShakingHands(rival.state) && rival.initiatedBy === winner(sides);
}

/** Connected, and our OPEN is out. */
export function isShakingHands(state: Candidate['state']): boolean {
  return state === 'OpenSent' || state === 'OpenConfirm';
}

/** The larger identifier's connection stays; with equal identifiers the larger AS decides. */
function winner(sides: CollisionSides): 'local' | 'peer' {
  if (sides.localIdentifier !== sides.peerIdentifier) {
    return sides.localIdentifier > sides.peerIdentifier ? 'local' : 'peer';
  }
  return sides.localAsn > sides.peerAsn ? 'local' : 'peer';
}
