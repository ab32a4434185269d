// Takes the UPDATEs of one session into the tables (RFC 4271 §9). Attributes that the session has brought before are
// known by their octets, and prefixes go from the wire to their numbers without becoming values; what is unusual or malformed
// goes through the decoder.

import { familyBits } from '../../../lib/net/ip.ts';
import { decodeAttributes } from '../packet/attributes/decode.ts';
import { ByteWriter } from '../packet/bytes.ts';
import type { CodecContext } from '../packet/context.ts';
import { DecodeError, type UpdateFault } from '../packet/errors.ts';
import { HEADER_LENGTH } from '../packet/header.ts';
import { type AddressFamily, AttributeCode, AttributeFlag, FAMILIES } from '../packet/iana.ts';
import { decodeUpdate } from '../packet/update.ts';
import { isPrefixField, type UpdateLayout, updateLayout } from '../packet/update-layout.ts';
import {
  type RouteAttributes,
  type RouteChanges,
  routeChanges,
  wholeAttributes,
} from '../packet/validate.ts';
import type { FamilyTable } from './family-table.ts';
import type { Mention } from './group-log.ts';
import { attributesKey } from './path.ts';
import { isOverLimit } from './path-counts.ts';
import type { ReceivedSet, RouteSet, SourceSets } from './route-set.ts';

/** A peer has announced more than it may: its session has to end. */
export type Excess =
  | { readonly of: 'prefixes'; readonly family: AddressFamily; readonly limit: number }
  /** Attributes that take more memory than there is for them. */
  | { readonly of: 'attributes' };

/** What an UPDATE has brought. */
export interface ReceivedUpdate {
  readonly announced: number;
  readonly withdrawn: number;
  /** A prefix that came alone, and prefixes that are watched. */
  readonly mentions: readonly Mention[];
  readonly endOfRib: readonly AddressFamily[];
  /** RFC 7606: what was wrong and did not cost the session. */
  readonly faults: readonly UpdateFault[];
  readonly excess: Excess | undefined;
}

export interface ReceiverParts {
  readonly context: CodecContext;
  readonly sets: SourceSets;
  readonly table: (family: AddressFamily) => FamilyTable;
  readonly maxPrefixes: () => number;
  /** How many sources share the memory for attributes. */
  readonly sources: () => number;
}

export class UpdateReceiver {
  readonly #parts: ReceiverParts;
  #announced = 0;
  #withdrawn = 0;
  #first: { readonly table: FamilyTable; readonly id: number; readonly isAnnounced: boolean } | undefined;
  #mentions: Mention[] = [];
  #excess: Excess | undefined;
  #limit = 0;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  /** `octets`: a whole message. Throws DecodeError where the session has to be reset. */
  receive(octets: Uint8Array): ReceivedUpdate {
    const layout = updateLayout(octets);
    if (layout === undefined || !this.#isUsual(octets, layout)) {
      return this.update(this.#decode(octets));
    }
    this.#begin();
    const { attributesEnd, end, reach, unreach } = layout;
    const hasRoutes = end > attributesEnd || reach !== undefined;
    let received: ReceivedSet | undefined;
    if (hasRoutes) {
      const family = reach?.family ?? 'ipv4Unicast';
      const key = keyOf(octets, layout);
      received = this.#parts.sets.get(key);
      if (received === undefined) {
        const attributes = this.#decodeAttributes(octets, layout);
        if (attributes === undefined) return this.update(this.#decode(octets));
        received = this.#add(key, family, attributes);
      }
    }
    this.#withdrawField(octets, layout.withdrawn, layout.withdrawnEnd, 'ipv4Unicast');
    if (unreach !== undefined) this.#withdrawField(octets, unreach.nlri, unreach.end, unreach.family);
    if (received !== undefined) {
      const [from, to] = reach === undefined ? [attributesEnd, end] : [reach.nlri, reach.end];
      this.#announceField(octets, from, to, received);
    }
    return this.#finish([], []);
  }

  /** The same for a message that has been decoded. */
  update(changes: RouteChanges): ReceivedUpdate {
    this.#begin();
    const { sets, table } = this.#parts;
    for (const { family, prefixes } of changes.withdrawn) {
      for (const prefix of prefixes) {
        const id = table(family).prefixes.findCidr(prefix);
        this.#withdraw(table(family), id, prefix.pathId ?? 0);
      }
    }
    for (const { family, prefixes, attributes } of changes.announced) {
      const key = `${family} ${attributesKey(attributes)}`;
      for (const prefix of prefixes) {
        const received = sets.get(key) ?? this.#add(key, family, attributes);
        const id = table(family).prefixes.internCidr(prefix);
        const set = sets.forPrefix(received, () => prefix);
        this.#announce(table(family), id, prefix.pathId ?? 0, set);
        if (this.#excess !== undefined) break;
      }
    }
    for (const family of changes.endOfRib) table(family).sweepStale(sets.sourceIndex);
    return this.#finish(changes.endOfRib, changes.faults);
  }

  #decode(octets: Uint8Array): RouteChanges {
    const { context } = this.#parts;
    return routeChanges(decodeUpdate(octets.subarray(HEADER_LENGTH), context), context);
  }

  /**
   * The attributes alone; undefined if anything is wrong with them, also what ends the session: which of several faults is the
   * first, and what of the message the NOTIFICATION carries, is seen in the whole message only.
   */
  #decodeAttributes(octets: Uint8Array, layout: UpdateLayout): RouteAttributes | undefined {
    const { context } = this.#parts;
    try {
      const decoded = decodeAttributes(attributeOctets(octets, layout), context);
      return wholeAttributes(decoded, layout.reach === undefined, context);
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  }

  #add(key: string, family: AddressFamily, attributes: RouteAttributes): ReceivedSet {
    const { sets, sources } = this.#parts;
    const received = sets.add(key, family, attributes);
    if (!sets.isOverBudget(sources())) return received;
    this.#excess = { of: 'attributes' };
    sets.forget(received);
    return received;
  }

  /** Routes of one family alone, in whole prefixes of negotiated families. */
  #isUsual(octets: Uint8Array, layout: UpdateLayout): boolean {
    const { withdrawn, withdrawnEnd, attributesEnd, end, reach, unreach } = layout;
    const hasNlri = end > attributesEnd;
    const isIpv4Used = hasNlri || withdrawnEnd > withdrawn;
    const isAnything = isIpv4Used || reach !== undefined || unreach !== undefined;
    if (!isAnything || (reach !== undefined && hasNlri)) return false;
    // End-of-RIB, or attributes about nothing.
    if (unreach !== undefined && unreach.nlri === unreach.end) return false;
    if (reach !== undefined && reach.nlri === reach.end) return false;
    if (!hasNlri && reach === undefined && !this.#isOnlyWithdrawal(layout)) return false;
    if (isIpv4Used && !this.#isField(octets, withdrawn, withdrawnEnd, 'ipv4Unicast')) return false;
    if (hasNlri && !this.#isField(octets, attributesEnd, end, 'ipv4Unicast')) return false;
    if (reach !== undefined && !this.#isField(octets, reach.nlri, reach.end, reach.family)) return false;
    return unreach === undefined || this.#isField(octets, unreach.nlri, unreach.end, unreach.family);
  }

  /** No attribute beside MP_UNREACH_NLRI. */
  #isOnlyWithdrawal({ attributes, attributesEnd, unreach }: UpdateLayout): boolean {
    if (unreach === undefined) return attributes === attributesEnd;
    return unreach.start === attributes && unreach.end === attributesEnd;
  }

  #isField(octets: Uint8Array, start: number, end: number, family: AddressFamily): boolean {
    const { context } = this.#parts;
    const bits = familyBits(FAMILIES[family].ip);
    return (
      context.families.has(family) &&
      isPrefixField(octets, start, end, bits, context.addPathReceive.has(family))
    );
  }

  #announceField(octets: Uint8Array, start: number, end: number, received: ReceivedSet): void {
    const { sets } = this.#parts;
    const table = this.#parts.table(received.family);
    const whole = sets.whole(received);
    this.#walk(octets, start, end, table, true, (id, pathId) => {
      const set = whole ?? sets.forPrefix(received, () => table.prefixes.cidr(id));
      this.#announce(table, id, pathId, set);
    });
  }

  #withdrawField(octets: Uint8Array, start: number, end: number, family: AddressFamily): void {
    const table = this.#parts.table(family);
    this.#walk(octets, start, end, table, false, (id, pathId) => this.#withdraw(table, id, pathId));
  }

  /** Every prefix of a field; of routes until there is one too many. */
  #walk(
    octets: Uint8Array,
    start: number,
    end: number,
    table: FamilyTable,
    isAnnounced: boolean,
    visit: (id: number, pathId: number) => void,
  ): void {
    const hasPathIds = this.#parts.context.addPathReceive.has(table.family);
    for (let at = start; at < end && !(isAnnounced && this.#excess !== undefined); ) {
      const pathId = hasPathIds ? word(octets, at, 4, 32) : 0;
      if (hasPathIds) at += 4;
      const length = octets[at] ?? 0;
      visit(numberOf(table, octets, at + 1, length, isAnnounced), pathId);
      at += 1 + ((length + 7) >>> 3);
    }
  }

  #announce(table: FamilyTable, id: number, pathId: number, set: RouteSet): void {
    const counts = table.announce(id, this.#parts.sets.sourceIndex, pathId, set);
    this.#note(table, id, true, this.#announced++ + this.#withdrawn);
    if (!isOverLimit(counts, this.#limit)) return;
    this.#excess = { of: 'prefixes', family: table.family, limit: this.#limit };
  }

  #withdraw(table: FamilyTable, id: number, pathId: number): void {
    const before = this.#announced + this.#withdrawn++;
    if (id < 0) return;
    table.withdraw(id, this.#parts.sets.sourceIndex, pathId);
    this.#note(table, id, false, before);
  }

  /** `before`: how many prefixes of the message came before this one. */
  #note(table: FamilyTable, id: number, isAnnounced: boolean, before: number): void {
    if (before === 0) this.#first = { table, id, isAnnounced };
    else if (table.watched.size > 0 && table.watched.has(id))
      this.#mentions.push({ prefix: table.prefixes.cidr(id), isAnnounced });
  }

  #begin(): void {
    this.#announced = 0;
    this.#withdrawn = 0;
    this.#first = undefined;
    this.#mentions = [];
    this.#excess = undefined;
    this.#limit = this.#parts.maxPrefixes();
  }

  #finish(endOfRib: readonly AddressFamily[], faults: readonly UpdateFault[]): ReceivedUpdate {
    const first = this.#first;
    if (first !== undefined) {
      const { table, id, isAnnounced } = first;
      const isAlone = this.#announced + this.#withdrawn === 1;
      if (isAlone || table.watched.has(id))
        this.#mentions.unshift({ prefix: table.prefixes.cidr(id), isAnnounced });
    }
    return {
      announced: this.#announced,
      withdrawn: this.#withdrawn,
      mentions: this.#mentions,
      endOfRib,
      faults,
      excess: this.#excess,
    };
  }
}

/**
 * Equal for messages with the same attributes and next hop, whatever their NLRI: the attributes' octets without the two
 * multiprotocol ones, behind the family and the next hop of MP_REACH_NLRI.
 */
function keyOf(octets: Uint8Array, layout: UpdateLayout): string {
  const { attributes, attributesEnd, reach, unreach } = layout;
  // As nearly always.
  if (reach === undefined && unreach === undefined) return `4 ${latin1(octets, attributes, attributesEnd)}`;
  const head = reach === undefined ? '4 ' : `${reach.family}${latin1(octets, reach.value, reach.nlri)} `;
  return besideMultiprotocol(layout).reduce((key, [start, end]) => key + latin1(octets, start, end), head);
}

/** The path attributes without any NLRI: MP_REACH_NLRI ends behind its next hop, MP_UNREACH_NLRI is left out. */
function attributeOctets(octets: Uint8Array, layout: UpdateLayout): Uint8Array {
  const writer = new ByteWriter();
  const { reach } = layout;
  if (reach !== undefined) {
    const value = octets.subarray(reach.value, reach.nlri);
    writer.u8(AttributeFlag.optional | AttributeFlag.extendedLength).u8(AttributeCode.mpReachNlri);
    writer.u16(value.length).raw(value);
  }
  for (const [start, end] of besideMultiprotocol(layout)) writer.raw(octets.subarray(start, end));
  return writer.finish();
}

/** Where the other attributes stand, from and to. */
function besideMultiprotocol(layout: UpdateLayout): readonly (readonly [number, number])[] {
  const { attributes, attributesEnd, reach, unreach } = layout;
  if (reach === undefined && unreach === undefined) return [[attributes, attributesEnd]];
  const stretches: [number, number][] = [];
  let at = attributes;
  const cuts = [reach, unreach].filter((cut) => cut !== undefined).sort((a, b) => a.start - b.start);
  for (const { start, end } of cuts) {
    stretches.push([at, start]);
    at = end;
  }
  return [...stretches, [at, attributesEnd]];
}

function latin1(octets: Uint8Array, start: number, end: number): string {
  const view =
    octets instanceof Buffer ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  return view.toString('latin1', start, end);
}

/** The number of the prefix whose address begins at `at`; -1 if it has none and is not to get one. */
function numberOf(
  table: FamilyTable,
  octets: Uint8Array,
  at: number,
  length: number,
  isNew: boolean,
): number {
  const { prefixes } = table;
  const size = (length + 7) >>> 3;
  const a = word(octets, at, size, length);
  if (prefixes.family === 4) {
    return isNew ? prefixes.intern(a, 0, 0, 0, length) : prefixes.find(a, 0, 0, 0, length);
  }
  const b = word(octets, at + 4, size - 4, length - 32);
  const c = word(octets, at + 8, size - 8, length - 64);
  const d = word(octets, at + 12, size - 12, length - 96);
  return isNew ? prefixes.intern(a, b, c, d, length) : prefixes.find(a, b, c, d, length);
}

/** 32 bits in network order of which `size` octets are there and `bits` count. */
function word(octets: Uint8Array, at: number, size: number, bits: number): number {
  if (bits <= 0) return 0;
  let value = (octets[at] ?? 0) << 24;
  if (size > 1) value |= (octets[at + 1] ?? 0) << 16;
  if (size > 2) value |= (octets[at + 2] ?? 0) << 8;
  if (size > 3) value |= octets[at + 3] ?? 0;
  return (bits >= 32 ? value : value & (-1 << (32 - bits))) >>> 0;
}
