// What must hold of any input: a value or a DecodeError in bounded time, the same wherever the octets lie, nothing shared with
// them, written and read again unchanged, and reactions that follow from the faults (RFC 7606).

import { isDeepStrictEqual } from 'node:util';
import { decodeAttributes } from '../../agents/bgp/packet/attributes/decode.ts';
import { encodeAttributes } from '../../agents/bgp/packet/attributes/encode.ts';
import { ATTRIBUTE_NAMES } from '../../agents/bgp/packet/attributes/table.ts';
import type { PathAttributes } from '../../agents/bgp/packet/attributes/types.ts';
import type { CodecContext } from '../../agents/bgp/packet/context.ts';
import { DecodeError, type UpdateFault } from '../../agents/bgp/packet/errors.ts';
import { MAX_EXTENDED_MESSAGE_LENGTH, readHeader } from '../../agents/bgp/packet/header.ts';
import { AttributeCode, AttributeFlag, errorName, UpdateSubcode } from '../../agents/bgp/packet/iana.ts';
import { decodeMessage, encodeMessage, type Message } from '../../agents/bgp/packet/message.ts';
import { describeNotification } from '../../agents/bgp/packet/notification.ts';
import type { UpdateMessage } from '../../agents/bgp/packet/update.ts';
import { type RouteChanges, routeChanges } from '../../agents/bgp/packet/validate.ts';
import { netmask } from '../../lib/net/ip.ts';
import { Finding } from './finding.ts';
import type { FuzzInput } from './mutate.ts';
import { checkSession } from './session.ts';

/** Decoding 64 KB takes a few. Processor time, as the machine may be busy, and the best of several attempts. */
const MAX_DECODE_MS = 25;
const ATTEMPTS = 5;
const SURROUNDING = 32;

/** `key` of the counts: what came of the input. */
export interface Outcome {
  readonly pastHeader: boolean;
  /** `open`, `update`, … for a value; `3/1` for an error. */
  readonly key: string;
}

/** Throws Finding, and nothing else. */
export function check(input: FuzzInput): Outcome {
  try {
    if (input.kind === 'message') return checkMessage(input);
    if (input.kind === 'attributes') return checkAttributes(input);
    const refused = checkSession(input.octets, input.context);
    return { pastHeader: true, key: refused > 0 ? 'session, some refused' : 'session' };
  } catch (error) {
    if (error instanceof Finding) throw error;
    throw new Finding('exception', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

function checkMessage({ octets, context }: FuzzInput): Outcome {
  try {
    const header = readHeader(octets, 0, { extendedMessage: true });
    if (header === undefined || header.length !== octets.length)
      return { pastHeader: false, key: 'another length' };
  } catch (error) {
    return { pastHeader: false, key: checkError(error, context) };
  }
  const result = decodedAnywhere(octets, (view) => decodeMessage(view, context));
  if ('error' in result) return { pastHeader: true, key: checkError(result.error, context) };
  const { value } = result;
  if (value.type === 'notification') describeNotification(value);
  checkRoundTrip(value, context);
  if (value.type !== 'update') return { pastHeader: true, key: value.type };
  checkPrefixes(value);
  return { pastHeader: true, key: checkReaction(value, context) };
}

function checkAttributes({ octets, context }: FuzzInput): Outcome {
  const result = decodedAnywhere(octets, (view) => decodeAttributes(view, context));
  if ('error' in result) return { pastHeader: true, key: checkError(result.error, context) };
  const { attributes, faults } = result.value;
  checkAccounting(octets, attributes, faults);
  const encoded = encodeAttributes(attributes, context);
  if (context.fourOctetAs) checkExact(octets, encoded);
  const again = decodeAttributes(encoded, context);
  if (again.faults.length > 0) throw new Finding('own faults', again.faults[0]?.reason ?? '');
  if (!isDeepStrictEqual(inOrder(again.attributes), inOrder(attributes))) {
    throw new Finding('round trip', JSON.stringify([attributes, again.attributes], text));
  }
  return { pastHeader: true, key: 'attributes' };
}

type Result<T> = { readonly value: T } | { readonly error: unknown };

/** Decodes between other octets and alone; both must give the same, also after the first octets are gone. */
function decodedAnywhere<T>(octets: Uint8Array, decode: (view: Uint8Array) => T): Result<T> {
  const around = Buffer.alloc(octets.length + 2 * SURROUNDING, 0xff);
  around.set(octets, SURROUNDING);
  const view = around.subarray(SURROUNDING, SURROUNDING + octets.length);
  const started = performance.now();
  const inside = attempt(decode, view);
  if (performance.now() - started > MAX_DECODE_MS) checkTime(octets, decode);
  around.fill(0);
  const alone = attempt(decode, octets);
  if ('value' in inside && 'value' in alone) {
    if (!isDeepStrictEqual(inside.value, alone.value)) {
      throw new Finding('not alone', JSON.stringify([inside.value, alone.value], text));
    }
  } else if ('error' in inside && 'error' in alone) {
    const [one, other] = [notificationOf(inside.error), notificationOf(alone.error)];
    if (!isDeepStrictEqual(one, other)) throw new Finding('not alone', JSON.stringify([one, other], text));
  } else {
    throw new Finding('not alone', 'a value here, an error there');
  }
  return alone;
}

function attempt<T>(decode: (view: Uint8Array) => T, octets: Uint8Array): Result<T> {
  try {
    return { value: decode(octets) };
  } catch (error) {
    return { error };
  }
}

function checkTime<T>(octets: Uint8Array, decode: (view: Uint8Array) => T): void {
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0; count < ATTEMPTS; count++) {
    const before = process.threadCpuUsage();
    attempt(decode, octets);
    const { user, system } = process.threadCpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  if (best > MAX_DECODE_MS) throw new Finding('time', `${best.toFixed(1)} ms for ${octets.length} octets`);
}

function notificationOf(error: unknown): unknown {
  return error instanceof DecodeError ? { ...error.type.notification } : error;
}

/** A DecodeError with a code and subcode that have names, a reason, and a NOTIFICATION that can be sent. */
function checkError(error: unknown, context: CodecContext): string {
  if (!(error instanceof DecodeError)) throw error;
  const { notification, reason } = error.type;
  const { code, subcode } = notification;
  const name = errorName(code, subcode);
  if (/error \d|subcode \d/.test(name) || reason === '')
    throw new Finding('error', `${code}/${subcode} ${reason}`);
  const sent = encodeMessage(
    { type: 'notification', ...notification },
    { ...context, maxMessageLength: 4096 },
  );
  if (sent.length > 4096 || describeNotification(notification) === '') throw new Finding('error', reason);
  return `${code}/${subcode}`;
}

function checkRoundTrip(value: Message, context: CodecContext): void {
  const octets = encodeMessage(value, context);
  // What was merged from two-octet speakers may be longer when it is written; such a message would not be sent.
  if (octets.length > MAX_EXTENDED_MESSAGE_LENGTH) return;
  const again = decodeMessage(octets, context);
  if (again.type === 'update' && again.faults.length > 0) {
    throw new Finding('own faults', again.faults[0]?.reason ?? '');
  }
  if (!isDeepStrictEqual(comparable(again), comparable(value))) {
    throw new Finding('round trip', JSON.stringify([value, again], text));
  }
}

/** Without what the peer alone did wrong. */
function comparable(message: Message): unknown {
  if (message.type === 'open') return { ...message, unsupportedParameters: [] };
  if (message.type !== 'update') return message;
  return { ...message, attributes: inOrder(message.attributes), faults: [] };
}

/** Attributes that are passed on are written by code. */
function inOrder(attributes: PathAttributes): PathAttributes {
  const { unknown } = attributes;
  if (unknown === undefined) return attributes;
  return { ...attributes, unknown: unknown.toSorted((a, b) => a.code - b.code) };
}

/** RFC 7606: what is announced and withdrawn follows from the faults; a session is reset if nothing could be withdrawn. */
function checkReaction(update: UpdateMessage, context: CodecContext): string {
  const { mpReachNlri } = update.attributes;
  const isSpoken = context.families.has('ipv4Unicast');
  const reachable = (isSpoken ? update.nlri.length : 0) + (mpReachNlri?.prefixes.length ?? 0);
  let changes: RouteChanges;
  try {
    changes = routeChanges(update, context);
  } catch (error) {
    const key = checkError(error, context);
    if (reachable > 0) throw new Finding('reaction', `${key} although routes can be withdrawn`);
    return key;
  }
  const withdraws = changes.faults.some(({ reaction }) => reaction === 'treatAsWithdraw');
  const announced = changes.announced.reduce((sum, { prefixes }) => sum + prefixes.length, 0);
  const withdrawn = changes.withdrawn.reduce((sum, { prefixes }) => sum + prefixes.length, 0);
  if (withdraws ? announced > 0 || withdrawn < reachable || reachable === 0 : announced !== reachable) {
    const detail = { announced, withdrawn, reachable, faults: changes.faults };
    throw new Finding('reaction', JSON.stringify(detail, text));
  }
  return withdraws ? 'update, withdrawn' : 'update';
}

/** Every attribute is a value, a fault, passed on or dropped by its flags; and none is made up. */
function checkAccounting(list: Uint8Array, attributes: PathAttributes, faults: readonly UpdateFault[]): void {
  const { rawByCode, isWhole } = walk(list);
  const isCut = faults.some(({ attribute, subcode }) => {
    return attribute === undefined && subcode === UpdateSubcode.malformedAttributeList;
  });
  if (isCut === isWhole)
    throw new Finding('accounting', isWhole ? 'whole, but cut short' : 'cut short, but whole');
  const merged = new Set(['as4Path', 'as4Aggregator']);
  for (const [code, { flags }] of rawByCode) {
    const name = ATTRIBUTE_NAMES[code];
    const isValue = name === undefined ? false : attributes[name] !== undefined || merged.has(name);
    const isDropped = name === undefined && (flags & AttributeFlag.transitive) === 0;
    const isPassedOn = attributes.unknown?.some((unknown) => unknown.code === code) === true;
    const isFault = faults.some(({ attribute }) => attribute === code);
    if (!isValue && !isDropped && !isPassedOn && !isFault)
      throw new Finding('accounting', `attribute ${code} is lost`);
  }
  const known = Object.keys(attributes).filter((name) => name !== 'unknown').length;
  if (known + (attributes.unknown?.length ?? 0) > rawByCode.size) throw new Finding('accounting', 'too many');
}

/** Between four-octet speakers an attribute is written as it came, but for what is to be ignored in NLRI. */
function checkExact(list: Uint8Array, encoded: Uint8Array): void {
  const came = walk(list).rawByCode;
  for (const [code, { flags, value }] of walk(encoded).rawByCode) {
    if (code === AttributeCode.mpReachNlri || code === AttributeCode.mpUnreachNlri) continue;
    const before = came.get(code);
    // Of attributes that are interpreted, nobody asks who could not.
    const ignored =
      AttributeFlag.extendedLength | (ATTRIBUTE_NAMES[code] !== undefined ? AttributeFlag.partial : 0) | 0x0f;
    const isSame = before !== undefined && (before.flags & ~ignored) === (flags & ~ignored);
    if (!isSame || (flags & 0x0f) !== 0 || !isDeepStrictEqual(plain(before.value), plain(value))) {
      throw new Finding('exact', `attribute ${code}: ${JSON.stringify([before, { flags, value }], text)}`);
    }
  }
}

interface RawAttribute {
  readonly flags: number;
  readonly value: Uint8Array;
}

/** The attributes that are whole, the first of each code. */
function walk(list: Uint8Array): {
  readonly rawByCode: ReadonlyMap<number, RawAttribute>;
  readonly isWhole: boolean;
} {
  const rawByCode = new Map<number, RawAttribute>();
  let at = 0;
  while (at + 3 <= list.length) {
    const flags = list[at] ?? 0;
    const isLong = (flags & AttributeFlag.extendedLength) !== 0;
    if (isLong && at + 4 > list.length) break;
    const length = isLong ? ((list[at + 2] ?? 0) << 8) | (list[at + 3] ?? 0) : (list[at + 2] ?? 0);
    const start = at + (isLong ? 4 : 3);
    if (start + length > list.length) break;
    const code = list[at + 1] ?? 0;
    if (!rawByCode.has(code)) rawByCode.set(code, { flags, value: list.subarray(start, start + length) });
    at = start + length;
  }
  return { rawByCode, isWhole: at === list.length };
}

function plain(octets: Uint8Array): Uint8Array {
  return new Uint8Array(octets);
}

/** RFC 4271 §4.3: what stands behind a prefix's length says nothing. */
function checkPrefixes(update: UpdateMessage): void {
  const { mpReachNlri, mpUnreachNlri } = update.attributes;
  const fields = [update.withdrawn, update.nlri, mpReachNlri?.prefixes ?? [], mpUnreachNlri?.prefixes ?? []];
  for (const { family, base, length } of fields.flat()) {
    if ((base & netmask(family, length)) !== base)
      throw new Finding('host bits', `${base.toString(16)}/${length}`);
  }
}

/** For JSON.stringify: values that JSON does not have. */
function text(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}
