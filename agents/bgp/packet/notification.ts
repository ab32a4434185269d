// NOTIFICATION message (RFC 4271 §4.5): codec, hard reset (RFC 8538), shutdown communication (RFC 9003).

import type { Notification } from './errors.ts';
import { CeaseSubcode, ErrorCode, errorName } from './iana.ts';

export interface NotificationMessage extends Notification {
  readonly type: 'notification';
}

/** A NOTIFICATION has at least code and subcode: framing refuses shorter ones. */
export function decodeNotification(body: Uint8Array): NotificationMessage {
  return { type: 'notification', code: body[0] ?? 0, subcode: body[1] ?? 0, data: body.slice(2) };
}

export function encodeNotification(message: Notification): Uint8Array {
  return Uint8Array.of(message.code, message.subcode, ...message.data);
}

/** RFC 8538 §3: Cease with hard reset around the NOTIFICATION that is meant. */
export function hardReset(meant: Notification): Notification {
  return { code: ErrorCode.cease, subcode: CeaseSubcode.hardReset, data: encodeNotification(meant) };
}

export function isHardReset(message: Notification): boolean {
  return message.code === ErrorCode.cease && message.subcode === CeaseSubcode.hardReset;
}

/** RFC 9003 §2: the text of a Cease for shutdown or reset, at most 255 octets of UTF-8 cut at a character's border. */
export function shutdownData(text: string): Uint8Array {
  const encoder = new TextEncoder();
  const octets = new Uint8Array(255);
  const { written } = encoder.encodeInto(text, octets);
  return Uint8Array.of(written, ...octets.subarray(0, written));
}

/** One line for logs and status: `Cease: hard reset (Cease: administrative shutdown), "text"`. */
export function describeNotification(message: Notification): string {
  const name = errorName(message.code, message.subcode);
  if (isHardReset(message) && message.data.length >= 2) {
    return `${name} (${describeNotification({ ...decodeNotification(message.data) })})`;
  }
  const text = shutdownText(message);
  return text === undefined ? name : `${name}, ${JSON.stringify(text)}`;
}

function shutdownText(message: Notification): string | undefined {
  const carriesText =
    message.code === ErrorCode.cease &&
    (message.subcode === CeaseSubcode.administrativeShutdown ||
      message.subcode === CeaseSubcode.administrativeReset);
  const length = message.data[0] ?? 0;
  if (!carriesText || length === 0) return undefined;
  // Wrong lengths and bad UTF-8 are shown as far as they go: JSON.stringify escapes what would disturb a terminal.
  return new TextDecoder().decode(message.data.slice(1, 1 + length));
}
