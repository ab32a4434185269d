// What is counted of a peer for status and metrics: messages by type, ends of sessions by reason, and what malformed
// UPDATEs have cost (RFC 7606 §2).

import type { CloseCause } from '../fsm/fsm.ts';
import type { Reaction } from '../packet/errors.ts';
import { errorName } from '../packet/iana.ts';
import type { Message } from '../packet/message.ts';
import { meantBy } from '../packet/notification.ts';

export type ControlMessage = Exclude<Message['type'], 'update'>;

/** Of a connection, or of all those of a peer. */
export class MessageCounts {
  /** All messages, UPDATEs among them. */
  received = 0;
  sent = 0;
  updatesReceived = 0;
  updatesSent = 0;
  readonly controlReceived: Record<ControlMessage, number> = { ...NONE };
  readonly controlSent: Record<ControlMessage, number> = { ...NONE };

  add(more: MessageCounts): void {
    this.received += more.received;
    this.sent += more.sent;
    this.updatesReceived += more.updatesReceived;
    this.updatesSent += more.updatesSent;
    for (const type of CONTROL_MESSAGES) {
      this.controlReceived[type] += more.controlReceived[type];
      this.controlSent[type] += more.controlSent[type];
    }
  }
}

export const CONTROL_MESSAGES: readonly ControlMessage[] = [
  'open',
  'notification',
  'keepalive',
  'routeRefresh',
];
const NONE: Readonly<Record<ControlMessage, number>> = {
  open: 0,
  notification: 0,
  keepalive: 0,
  routeRefresh: 0,
};

/** Reasons that are told apart; a peer may make up codes. */
const MAX_REASONS = 32;

export class PeerCounts {
  /** Of connections that are gone. */
  readonly messages = new MessageCounts();
  /** Sessions that have ended, by reason. */
  readonly downs = new Map<string, number>();
  readonly updateErrors: Record<Reaction, number> = {
    attributeDiscard: 0,
    treatAsWithdraw: 0,
    sessionReset: 0,
  };

  countDown(cause: CloseCause): void {
    const name = downName(cause);
    const reason = this.downs.has(name) || this.downs.size < MAX_REASONS ? name : 'other';
    this.downs.set(reason, 1 + (this.downs.get(reason) ?? 0));
  }
}

/** `received Cease: administrative reset` */
function downName(cause: CloseCause): string {
  switch (cause.kind) {
    case 'sent':
    case 'received': {
      const { code, subcode } = meantBy(cause.notification);
      return `${cause.kind} ${errorName(code, subcode)}`;
    }
    case 'tcp':
      return 'connection';
    case 'stopped':
    case 'collision':
    case 'sendHold':
      return cause.kind;
  }
}
