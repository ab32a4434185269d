// Several connections with one peer: carries out what fsm/collision.ts decides about them (RFC 4271 §6.8).

import { type Candidate, type CollisionSides, mayStillWin, resolveCollision } from '../fsm/collision.ts';
import type { Connection } from './connection.ts';

/** An acceptable OPEN has come on `opened`. */
export function resolveCollisions(
  opened: Connection,
  all: readonly Connection[],
  sides: CollisionSides,
): void {
  for (const other of all) {
    // It may have lost against one before.
    if (other !== opened && opened.state.name !== 'Idle') resolveBetween(opened, other, sides);
  }
}

/** `established` is; the others go, but for one that the peer may still choose. */
export function endRivals(established: Connection, all: readonly Connection[], sides: CollisionSides): void {
  for (const other of all) {
    const isRival = other !== established && !mayStillWin(candidate(other), sides);
    if (isRival) other.dispatch({ type: 'OpenCollisionDump' });
  }
}

function resolveBetween(opened: Connection, other: Connection, sides: CollisionSides): void {
  const verdict = resolveCollision(candidate(opened), candidate(other), sides);
  if (verdict === 'dropOpened') opened.dispatch({ type: 'OpenCollisionDump' });
  if (verdict === 'dropOther') other.dispatch({ type: 'OpenCollisionDump' });
  if (verdict === 'replaceEstablished') {
    other.dispatch({ type: 'TcpConnectionFails', reason: 'the peer has restarted and connected anew' });
  }
}

function candidate(connection: Connection): Candidate {
  return { state: connection.state.name, initiatedBy: connection.initiatedBy };
}
