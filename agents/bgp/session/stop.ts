// How the sessions with a peer are ended by us, and what the peer is told (RFC 4486, RFC 9003).

import type { PeerConfig } from '../config.ts';
import { type Notification, notification } from '../packet/errors.ts';
import { CeaseSubcode, ErrorCode } from '../packet/iana.ts';
import { administrative } from '../packet/notification.ts';

/** How a peer is stopped. */
export interface PeerStop {
  /** Left out: the connection just closes, which the peer takes for a restart of ours, if it can. */
  readonly cease?: Notification;
  /** The peer is to drop our routes even if both speak RFC 8538. */
  readonly hard?: boolean;
  /** The peer comes back under a changed configuration: its routes stay meanwhile, if it can restart gracefully. */
  readonly keepRoutes?: boolean;
}

/** What a peer is told that is disabled, with the operator's word (RFC 9003). */
export function shutdown({ shutdownText }: PeerConfig): Notification {
  return administrative(CeaseSubcode.administrativeShutdown, shutdownText ?? '');
}

/** A Cease with this subcode (RFC 4486). */
export function cease(subcode: number): Notification {
  return notification(ErrorCode.cease, subcode);
}
