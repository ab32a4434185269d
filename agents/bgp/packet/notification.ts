// NOTIFICATION message (RFC 4271 §4.5): codec, hard reset (RFC 8538), and what is shown of one: shutdown communication (RFC 9003).

import { ByteReader, ByteWriter } from './bytes.ts';
import { type Notification, notification } from './errors.ts';
import { type AddressFamily, CeaseSubcode, ErrorCode, errorName, FAMILIES, familyOf } from './iana.ts';

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

/** What a hard reset is about; any other NOTIFICATION is about itself. */
export function meantBy(message: Notification): Notification {
  return isHardReset(message) && message.data.length >= 2 ? decodeNotification(message.data) : message;
}

/** Cease because of too many prefixes, with the family and the limit (RFC 4486 §4). */
export function maxPrefixesReached(family: AddressFamily, limit: number): Notification {
  const { afi, safi } = FAMILIES[family];
  const data = new ByteWriter().u16(afi).u8(safi).u32(limit).finish();
  return notification(ErrorCode.cease, CeaseSubcode.maxPrefixes, data);
}

/** One line for logs and status: `Cease: hard reset (Cease: administrative shutdown), "text"`. */
export function describeNotification(message: Notification): string {
  const name = errorName(message.code, message.subcode);
  const meant = meantBy(message);
  if (meant !== message) return `${name} (${describeNotification(meant)})`;
  const text = shutdownText(message);
  return text === undefined ? `${name}${limitText(message)}` : `${name}, ${JSON.stringify(text)}`;
}

/** The peer may leave the limit out. */
function limitText({ code, subcode, data }: Notification): string {
  if (code !== ErrorCode.cease || subcode !== CeaseSubcode.maxPrefixes || data.length !== 7) return '';
  const reader = new ByteReader(data, () => new Error('seven octets do not suffice'));
  const [afi, safi, limit] = [reader.u16(), reader.u8(), reader.u32()];
  return `, ${limit} of ${familyOf(afi, safi) ?? `AFI ${afi} SAFI ${safi}`}`;
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
