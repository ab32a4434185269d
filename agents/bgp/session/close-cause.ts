// What follows from the way a connection ended: whether routes stay, whether the next attempt should wait, and the words
// for it.

import type { CloseCause } from '../fsm/fsm.ts';
import type { NegotiatedSession } from '../fsm/negotiate.ts';
import { CeaseSubcode, ErrorCode, OpenSubcode } from '../packet/iana.ts';
import { describeNotification, isHardReset, meantBy } from '../packet/notification.ts';

/** RFC 4724 §4.2, RFC 8538 §4: whether the peer's routes stay while it comes back. */
export function isGraceful(cause: CloseCause, session: NegotiatedSession): boolean {
  const restart = session.gracefulRestart;
  if (restart === undefined) return false;
  switch (cause.kind) {
    case 'tcp':
      return true;
    case 'sent':
    case 'received':
      return restart.notification && !isHardReset(cause.notification);
    case 'stopped':
    case 'sendHold':
      // Our own reset for a changed configuration; a peer that is being removed is not running any more.
      return restart.notification;
    case 'collision':
      return false;
  }
}

/** Whether the next attempt would most likely end alike, and should wait longer each time. */
export function isError(cause: CloseCause): boolean {
  return cause.kind === 'sent' || cause.kind === 'sendHold' || isRefusal(cause);
}

const REFUSALS: ReadonlySet<number> = new Set([
  CeaseSubcode.maxPrefixes,
  CeaseSubcode.connectionRejected,
  CeaseSubcode.outOfResources,
]);

/** A NOTIFICATION that the next attempt would most likely earn again. */
function isRefusal(cause: CloseCause): boolean {
  if (cause.kind !== 'received') return false;
  const { code, subcode } = meantBy(cause.notification);
  return code !== ErrorCode.cease || REFUSALS.has(subcode);
}

export function describeCause(cause: CloseCause): string {
  switch (cause.kind) {
    case 'tcp':
      return `connection: ${cause.reason}`;
    case 'sent':
      return `sent NOTIFICATION ${describeNotification(cause.notification)}: ${cause.reason}`;
    case 'received':
      return `received NOTIFICATION ${describeNotification(cause.notification)}`;
    case 'stopped':
      return 'stopped here';
    case 'collision':
      return 'lost a connection collision';
    case 'sendHold':
      return 'the peer takes nothing that we send';
  }
}

/** RFC 5492 §3: the peer does not know optional parameters, which capabilities are. */
export function refusesParameters(cause: CloseCause): boolean {
  if (cause.kind !== 'received') return false;
  const { code, subcode } = meantBy(cause.notification);
  return code === ErrorCode.openMessage && subcode === OpenSubcode.unsupportedParameter;
}
