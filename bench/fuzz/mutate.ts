// Inputs for the codec: a recorded message or attribute list with a few things changed, mostly in ways that keep its outer
// shape, in the context that it was sent in or another.

import { type CodecContext, UNNEGOTIATED } from '../../agents/bgp/packet/context.ts';
import { frame, HEADER_LENGTH, MAX_EXTENDED_MESSAGE_LENGTH } from '../../agents/bgp/packet/header.ts';
import { ADDRESS_FAMILIES, AttributeFlag, MessageType } from '../../agents/bgp/packet/iana.ts';
import type { Sample } from '../../test/support/bgp-data/corpus.ts';
import type { SeededRandom } from '../../test/support/random.ts';

export interface Corpus {
  /** A few messages of every kind. */
  readonly small: readonly Sample[];
  /** Many UPDATEs. */
  readonly dumps: readonly Sample[];
  readonly attributes: readonly Sample[];
}

export interface FuzzInput {
  /** `session`: UPDATEs one behind the other. */
  readonly kind: 'message' | 'attributes' | 'session';
  readonly octets: Uint8Array;
  readonly context: CodecContext;
}

type Mutation = (octets: Uint8Array, random: SeededRandom, other: Uint8Array) => Uint8Array;

const MAX_BODY = MAX_EXTENDED_MESSAGE_LENGTH - HEADER_LENGTH;
/** In an UPDATE of a body of `octets`, or in a list alone, where the attribute list begins. */
type ListAt = (octets: Uint8Array) => number;

const attributesAt: ListAt = (body) => 4 + u16At(body, 0);
/** Share of sessions: each costs as much as a hundred messages. */
const SESSIONS = 0.005;
const MAX_SESSION = 24;
const MIN_UPDATE = 23;

/** The same for the same state of `random`. */
export function fuzzInput(corpus: Corpus, random: SeededRandom): FuzzInput {
  const chance = random.next();
  if (chance < SESSIONS) return sessionInput(corpus.dumps, random);
  if (chance < 0.2) return attributesInput(corpus, random);
  return messageInput(chance < 0.5 ? corpus.small : corpus.dumps, random);
}

function attributesInput(corpus: Corpus, random: SeededRandom): FuzzInput {
  const sample = pick(corpus.attributes, random);
  const other = pick(corpus.attributes, random).octets;
  const octets = mutated(sample.octets, other, random, () => 0);
  return { kind: 'attributes', octets, context: contextOf(sample.context, random) };
}

function messageInput(samples: readonly Sample[], random: SeededRandom): FuzzInput {
  const sample = pick(samples, random);
  const other = pick(samples, random).octets.subarray(HEADER_LENGTH);
  const type = random.next() < 0.03 ? random.below(8) : (sample.octets[HEADER_LENGTH - 1] ?? 0);
  const listAt: ListAt = type === MessageType.update ? attributesAt : () => 0;
  const body = mutated(sample.octets.subarray(HEADER_LENGTH), other, random, listAt);
  const whole = frame(type, body.subarray(0, MAX_BODY));
  // The header is right again in most inputs, so that they get past it.
  const octets = random.next() < 0.05 ? flipBits(whole.subarray(0), random, other) : whole;
  return { kind: 'message', octets, context: contextOf(sample.context, random) };
}

/** A few messages that come again and again, with other changes each time. */
function sessionInput(samples: readonly Sample[], random: SeededRandom): FuzzInput {
  const first = random.below(samples.length);
  const near = Array.from({ length: 4 }, (_, index) => samples[(first + index) % samples.length]);
  const updates = near.flatMap((sample) =>
    sample?.octets[HEADER_LENGTH - 1] === MessageType.update ? [sample] : [],
  );
  const context = contextOf(near[0]?.context ?? UNNEGOTIATED, random);
  const messages = Array.from({ length: updates.length === 0 ? 0 : 1 + random.below(MAX_SESSION) }, () => {
    const body = pick(updates, random).octets.subarray(HEADER_LENGTH);
    const other = pick(updates, random).octets.subarray(HEADER_LENGTH);
    const chance = random.next();
    const changed =
      chance < 0.3
        ? body
        : chance < 0.6
          ? otherValue(body, random)
          : mutated(body, other, random, attributesAt);
    return frame(MessageType.update, changed.subarray(0, MAX_BODY));
  }).filter((message) => message.length >= MIN_UPDATE);
  return { kind: 'session', octets: concat(...messages), context: { ...context, enforceFirstAs: false } };
}

/** Nothing is changed in a few: then the context is what is tried. */
function mutated(octets: Uint8Array, other: Uint8Array, random: SeededRandom, listAt: ListAt): Uint8Array {
  let result = new Uint8Array(octets);
  for (let count = random.below(5); count > 0; count--) {
    const chance = random.next();
    if (chance < 0.35) result = new Uint8Array(mutateList(result, random, listAt(result)));
    else if (chance < 0.55) result = new Uint8Array(changeLength(result, random, listAt(result)));
    else result = new Uint8Array(pick(MUTATIONS, random)(result, random, other));
  }
  return result;
}

const flipBits: Mutation = (octets, random) => {
  const result = new Uint8Array(octets);
  for (let count = 1 + random.below(4); count > 0 && result.length > 0; count--) {
    const at = random.below(result.length);
    result[at] = (result[at] ?? 0) ^ (1 << random.below(8));
  }
  return result;
};

const EDGES = [0, 1, 2, 4, 16, 31, 32, 33, 64, 127, 128, 129, 254, 255] as const;
const setEdge: Mutation = (octets, random) => {
  const result = new Uint8Array(octets);
  if (result.length > 0) result[random.below(result.length)] = pick(EDGES, random);
  return result;
};

const truncate: Mutation = (octets, random) => octets.subarray(0, random.below(octets.length + 1));

const remove: Mutation = (octets, random) => {
  const at = random.below(octets.length + 1);
  return concat(octets.subarray(0, at), octets.subarray(at + 1 + random.below(8)));
};

const repeat: Mutation = (octets, random) => {
  const at = random.below(octets.length + 1);
  const end = Math.min(octets.length, at + 1 + random.below(64));
  return concat(octets.subarray(0, end), octets.subarray(at));
};

const insert: Mutation = (octets, random) => {
  const at = random.below(octets.length + 1);
  const some = Uint8Array.from({ length: 1 + random.below(12) }, () => random.below(256));
  return concat(octets.subarray(0, at), some, octets.subarray(at));
};

const splice: Mutation = (octets, random, other) => {
  const from = random.below(other.length + 1);
  return concat(octets.subarray(0, random.below(octets.length + 1)), other.subarray(from));
};

/** Rarely: a message as long as may be. */
const grow: Mutation = (octets, random) => {
  if (octets.length === 0 || random.next() > 0.01) return setEdge(octets, random, octets);
  const length = random.below(MAX_BODY);
  return Uint8Array.from({ length }, (_, index) => octets[index % octets.length] ?? 0);
};

const MUTATIONS = [flipBits, flipBits, setEdge, setEdge, truncate, remove, repeat, insert, splice, grow];

interface RawAttribute {
  readonly start: number;
  readonly end: number;
  readonly lengthAt: number;
}

/** Attributes that are whole, from `at` on. */
function rawAttributes(octets: Uint8Array, at: number): RawAttribute[] {
  const attributes: RawAttribute[] = [];
  for (let start = at; start + 3 <= octets.length; ) {
    const isLong = ((octets[start] ?? 0) & AttributeFlag.extendedLength) !== 0;
    const length = isLong ? u16At(octets, start + 2) : (octets[start + 2] ?? 0);
    const end = start + (isLong ? 4 : 3) + length;
    if (end > octets.length) break;
    attributes.push({ start, end, lengthAt: start + 2 + (isLong ? 1 : 0) });
    start = end;
  }
  return attributes;
}

/** Moves, drops, repeats, changes or disguises an attribute; the length of the list is put right. */
function mutateList(octets: Uint8Array, random: SeededRandom, at: number): Uint8Array {
  const isUpdate = at >= 4;
  const end = isUpdate ? Math.min(octets.length, at + u16At(octets, at - 2)) : octets.length;
  const chunks = rawAttributes(octets.subarray(0, end), at).map((raw) => octets.slice(raw.start, raw.end));
  if (chunks.length === 0) return octets;
  const index = random.below(chunks.length);
  const chunk = new Uint8Array(chunks[index] ?? []);
  switch (random.below(5)) {
    case 0:
      chunks.splice(index, 1);
      break;
    case 1:
      chunks.splice(random.below(chunks.length + 1), 0, chunk);
      break;
    case 2:
      chunks.push(...chunks.splice(index, 1));
      break;
    case 3:
      chunk[0] = (chunk[0] ?? 0) ^ (0x20 << random.below(3));
      chunks[index] = chunk;
      break;
    default:
      chunk[1] = random.next() < 0.8 ? 1 + random.below(40) : random.below(256);
      chunks[index] = chunk;
  }
  const list = concat(...chunks);
  if (!isUpdate) return list;
  const head = octets.slice(0, at);
  head[at - 2] = (list.length >>> 8) & 0xff;
  head[at - 1] = list.length & 0xff;
  return concat(head, list, octets.subarray(end));
}

/** Another last octet of an attribute of an UPDATE: mostly a value that is as good. */
function otherValue(body: Uint8Array, random: SeededRandom): Uint8Array {
  const result = new Uint8Array(body);
  const list = body.subarray(0, attributesAt(body) + u16At(body, attributesAt(body) - 2));
  const attributes = rawAttributes(list, attributesAt(body));
  const attribute = attributes[random.below(attributes.length)];
  if (attribute !== undefined)
    result[attribute.end - 1] = (result[attribute.end - 1] ?? 0) ^ (1 << random.below(8));
  return result;
}

/** Lies about a length: of a field, of an attribute, or of what begins somewhere inside one. */
function changeLength(octets: Uint8Array, random: SeededRandom, at: number): Uint8Array {
  const attributes = rawAttributes(octets, at);
  const places = [...(at >= 4 ? [1, at - 1] : [0]), ...attributes.map(({ lengthAt }) => lengthAt)];
  const attribute = attributes[random.below(attributes.length + 1)];
  if (attribute !== undefined) places.push(attribute.lengthAt + 1 + random.below(8));
  const place = pick(places, random);
  const result = new Uint8Array(octets);
  if (place >= result.length) return result;
  const value = result[place] ?? 0;
  result[place] = random.next() < 0.6 ? value + random.below(9) - 4 : pick(EDGES, random);
  return result;
}

function contextOf(context: CodecContext, random: SeededRandom): CodecContext {
  const differs = (): boolean => random.next() < 0.12;
  const peerType = differs() ? 'external' : context.peerType;
  const families = differs() ? new Set([pick(ADDRESS_FAMILIES, random)]) : context.families;
  const hasIds = context.addPathReceive.size > 0 !== differs();
  // Both directions alike, so that what was read can be written and read again.
  const ids = new Set(hasIds ? ADDRESS_FAMILIES : []);
  return {
    ...context,
    peerType,
    peerAsn: random.below(70_000),
    enforceFirstAs: differs(),
    fourOctetAs: context.fourOctetAs !== differs(),
    families,
    addPathReceive: ids,
    addPathSend: ids,
    extendedNextHop: context.extendedNextHop !== differs(),
    enhancedRefresh: context.enhancedRefresh !== differs(),
    maxMessageLength: MAX_EXTENDED_MESSAGE_LENGTH,
  };
}

function u16At(octets: Uint8Array, at: number): number {
  return ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function pick<T>(list: readonly T[], random: SeededRandom): T {
  const element = list[random.below(list.length)];
  if (element === undefined) throw new Error('nothing to pick from');
  return element;
}
