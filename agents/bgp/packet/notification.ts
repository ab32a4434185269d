// NOTIFICATION message (RFC 4271 §4.5): codec, hard reset (RFC 8538), and what is shown of one: shutdown communication (RFC 9003).

import { ByteReader, ByteWriter, copyOf } from './bytes.ts';
import { type Notification, notification } from './errors.ts';
import { type AddressFamily, CeaseSubcode, ErrorCode, errorName, FAMILIES, familyOf } from './iana.ts';

/** RFC 9003 §2 */
const MAX_SHUTDOWN_TEXT = 255;

export interface NotificationMessage extends Notification {
  readonly type: 'notification';
}

/** A NOTIFICATION has at least code and subcode: framing refuses shorter ones. */
export function decodeNotification(body: Uint8Array): NotificationMessage {
  return { type: 'notification', code: body[0] ?? 0, subcode: body[1] ?? 0, data: copyOf(body, 2) };
}

/** Data beyond what fits into `maxLength` octets of code, subcode and data are left out. */
export function encodeNotification(message: Notification, maxLength = Number.POSITIVE_INFINITY): Uint8Array {
  const data = message.data.subarray(0, maxLength - 2);
  return new ByteWriter().u8(message.code).u8(message.subcode).raw(data).finish();
}

/** Cease for a shutdown or a reset, with its reason: at most 255 octets, cut at a character's border (RFC 9003 §2). */
export function administrative(
  subcode: typeof CeaseSubcode.administrativeShutdown | typeof CeaseSubcode.administrativeReset,
  text: string,
): Notification {
  const octets = new Uint8Array(MAX_SHUTDOWN_TEXT);
  const { written } = new TextEncoder().encodeInto(text, octets);
  const data = new ByteWriter().u8(written).raw(octets.subarray(0, written)).finish();
  return notification(ErrorCode.cease, subcode, data);
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

/**
 * One line for logs and status: `Cease: hard reset (Cease: administrative shutdown, "text")`. A hard reset within a hard
 * reset is not unwrapped: nobody means one.
 */
export function describeNotification(message: Notification): string {
  const meant = meantBy(message);
  if (meant === message) return describeOne(message);
  return `${errorName(message.code, message.subcode)} (${describeOne(meant)})`;
}

function describeOne(message: Notification): string {
  const name = errorName(message.code, message.subcode);
  const text = shutdownText(message);
  return text === undefined ? `${name}${limitText(message)}` : `${name}, "${text}"`;
}

/** The peer may leave the limit out. */
function limitText({ code, subcode, data }: Notification): string {
  if (code !== ErrorCode.cease || subcode !== CeaseSubcode.maxPrefixes || data.length !== 7) return '';
  const reader = new ByteReader(data, () => new Error('seven octets do not suffice'));
  const [afi, safi, limit] = [reader.u16(), reader.u8(), reader.u32()];
  return `, ${limit} of ${familyOf(afi, safi) ?? `AFI ${afi} SAFI ${safi}`}`;
}

/** What the operator of the other side says (RFC 9003), escaped for display. */
export function shutdownText(message: Notification): string | undefined {
  const carriesText =
    message.code === ErrorCode.cease &&
    (message.subcode === CeaseSubcode.administrativeShutdown ||
      message.subcode === CeaseSubcode.administrativeReset);
  const length = message.data[0] ?? 0;
  if (!carriesText || length === 0) return undefined;
  return escapedText(message.data.subarray(1, 1 + length));
}

/**
 * Text of a peer as it may be shown anywhere: quotes, backslashes and what is no visible character are escaped
 * (`\\n`, `\\u{202e}`), and octets that are no UTF-8 are shown as numbers (`\\xff`).
 */
function escapedText(octets: Uint8Array): string {
  let text = '';
  for (let at = 0; at < octets.length; ) {
    const character = characterAt(octets, at);
    text += character === undefined ? escapedOctet(octets[at] ?? 0) : escapedCharacter(character);
    at += character === undefined ? 1 : utf8Length(octets[at] ?? 0);
  }
  return text;
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const REPLACEMENT = '\ufffd';

/** The UTF-8 character that begins there; undefined if none does. */
function characterAt(octets: Uint8Array, at: number): string | undefined {
  const lead = octets[at] ?? 0;
  const text = utf8.decode(octets.subarray(at, at + utf8Length(lead)));
  const isReplaced = text === REPLACEMENT && lead !== 0xef;
  return [...text].length === 1 && at + utf8Length(lead) <= octets.length && !isReplaced ? text : undefined;
}

/** By its first octet. */
function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function escapedOctet(octet: number): string {
  return `\\x${octet.toString(16).padStart(2, '0')}`;
}

function escapedCharacter(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  if (character === '\n') return '\\n';
  const isVisible = character === ' ' || !/^[\p{C}\p{Z}]$/u.test(character);
  return isVisible ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
