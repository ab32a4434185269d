// What a decoder throws, and the reactions to a malformed UPDATE (RFC 4271 §6, RFC 7606 §2).

import { ErrorCode, HeaderSubcode, UpdateSubcode } from './iana.ts';

/** Content of a NOTIFICATION (RFC 4271 §4.5). */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

export function notification(code: number, subcode = 0, data: Uint8Array = new Uint8Array()): Notification {
  return { code, subcode, data };
}

/** RFC 7606 §2, weakest first; the strongest reaction of a message is the one that is carried out. */
export const REACTIONS = ['attributeDiscard', 'treatAsWithdraw', 'sessionReset'] as const;
export type Reaction = (typeof REACTIONS)[number];

/** One thing wrong with an UPDATE that does not by itself end the session. */
export interface UpdateFault {
  readonly reaction: Reaction;
  /** Type code of the attribute at fault; undefined where a missing or unreadable list is meant. */
  readonly attribute?: number;
  readonly subcode: number;
  /** Data field of the NOTIFICATION, should the session end over it (RFC 4271 §6.3): mostly the attribute as it came. */
  readonly data: Uint8Array;
  readonly reason: string;
}

/** A message that costs the session: the NOTIFICATION to send, and the reason in words for the log. */
export class DecodeError extends Error {
  readonly type: {
    readonly code: 'sessionReset';
    readonly notification: Notification;
    readonly reason: string;
  };

  constructor(reset: Notification, reason: string) {
    super(`malformed BGP message: ${reason}`);
    this.name = 'DecodeError';
    this.type = { code: 'sessionReset', notification: reset, reason };
  }
}

export function headerError(subcode: number, data: Uint8Array, reason: string): DecodeError {
  return new DecodeError(notification(ErrorCode.messageHeader, subcode, data), reason);
}

/** RFC 4271 §6.1: the data field holds the erroneous length. */
export function badLength(length: number, reason: string): DecodeError {
  return headerError(HeaderSubcode.badLength, Uint8Array.of(length >>> 8, length & 0xff), reason);
}

export function updateError(subcode: number, reason: string, data?: Uint8Array): DecodeError {
  return new DecodeError(notification(ErrorCode.updateMessage, subcode, data), reason);
}

/** A malformed attribute; the reader of the attribute list turns it into the fault that the attribute's row names. */
export class AttributeError extends Error {
  readonly type: { readonly code: 'attribute'; readonly subcode: number; readonly reason: string };

  constructor(subcode: number, reason: string) {
    super(`malformed path attribute: ${reason}`);
    this.name = 'AttributeError';
    this.type = { code: 'attribute', subcode, reason };
  }
}

export function lengthError(reason = 'wrong length'): AttributeError {
  return new AttributeError(UpdateSubcode.attributeLength, reason);
}
