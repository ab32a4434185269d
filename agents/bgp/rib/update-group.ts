// An update group: peers of one family that are told the same are served together (RFC 4271 §3.2 Adj-RIB-Out). What they have
// been told is one number a unit: a prefix, or a path where path ids are sent (RFC 7911). Messages are made once for all of
// them. A peer that has just come, does not read, or asked for everything again has a set of units that it is still to be
// told of; when that is empty it goes on with the others.

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import { FIRST_CAPACITY, grownColumn } from './column.ts';
import type { FamilyTable, NumberHolder } from './family-table.ts';
import { GroupLog, type LogParts, type PeerUpdatesBuilder } from './group-log.ts';
import { GroupMembers, type Member } from './group-members.ts';
import { IdSet } from './id-set.ts';
import type { OutSet } from './out-set.ts';
import { type GroupParts, OutgoingSets } from './outgoing-sets.ts';
import type { NlriOf, UpdateWriter } from './update-writer.ts';

/** Units that one peer is told of in one flush beside the others. */
const MAX_PENDING = 32_768;

export class UpdateGroup implements NumberHolder {
  readonly index: number;
  readonly #table: FamilyTable;
  readonly #outgoing: OutgoingSets;
  readonly #sendsPathIds: boolean;
  readonly #maxOctets: number;
  readonly #nlri: NlriOf;
  readonly #members = new GroupMembers();
  /** By unit: number of the out set, 0 for nothing told; and the next unit of a chain. */
  #sent = new Int32Array(FIRST_CAPACITY);
  #link = new Int32Array(FIRST_CAPACITY);
  readonly #outs: (OutSet | undefined)[] = [undefined];
  readonly #freeOuts: number[] = [];
  #touched: OutSet[] = [];
  #told = 0;
  /** By peer: units told to the others and not to it. */
  readonly #hidden: number[] = [];
  /** By peer in step: units that it is to be told of beside the others. */
  readonly #exceptions = new Map<number, number[]>();
  #log = new GroupLog();
  /** Peers that the shared part of the last flush is for. */
  readonly #inStep = new Set<number>();

  constructor(parts: GroupParts) {
    const { index, table, audience } = parts;
    this.index = index;
    this.#table = table;
    this.#maxOctets = parts.maxOctets;
    this.#outgoing = new OutgoingSets(parts);
    this.#sendsPathIds = audience.context.addPathSend.has(table.family);
    this.#nlri = this.#sendsPathIds
      ? { prefixOf: (path) => table.prefixOf(path), pathIdOf: (path) => path }
      : { prefixOf: (unit) => unit - 1 };
    for (let id = 0; id < table.prefixes.end; id++) if (table.prefixes.isUsed(id)) this.decided(id);
    this.#forgetChains();
  }

  /** Different whenever numbers may be free that were held before. */
  get version(): number {
    return this.#members.version;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Prefixes whose attributes no message to the group's peers holds (RFC 8654 §5), since it was asked last. */
  takeTooLarge(): readonly Cidr[] {
    return this.#outgoing.takeTooLarge();
  }

  holdsPrefix(id: number): boolean {
    if (this.#sendsPathIds) return false;
    return this.#holds(id + 1);
  }

  holdsPath(path: number): boolean {
    return this.#sendsPathIds && this.#holds(path);
  }

  /** A peer whose session has just come up: it gets everything, then an End-of-RIB. */
  join(peer: number, address: IpAddress): void {
    this.#admitAddress(this.#members.join(peer, address));
  }

  leave(peer: number): void {
    this.#members.remove(peer);
    this.#exceptions.delete(peer);
  }

  /** Takes over a member of another group under the same session: it is told of the differences. */
  takeOver(peer: number, from: UpdateGroup): void {
    const before = from.#members.get(peer);
    if (before === undefined) return;
    if (from.#members.isJoining(before)) {
      from.leave(peer);
      this.join(peer, before.address);
      return;
    }
    const pending = new IdSet();
    const end = Math.max(this.#sent.length, from.#sent.length);
    this.#ensureUnits(end - 1);
    this.#admitAddress(before);
    for (let unit = 1; unit < end; unit++) {
      const isDue = before.pending?.has(unit) === true;
      if (isDue || !isAlike(from.#toldTo(unit, peer), this.#toldTo(unit, peer))) pending.add(unit);
    }
    from.leave(peer);
    this.#members.put({ ...before, pending });
  }

  /** Everything again, changed or not (RFC 2918 §4); `isMarked`: between marks (RFC 7313 §4). */
  refresh(peer: number, isMarked: boolean): void {
    const member = this.#members.get(peer);
    // However often it asks, it is worked out once a flush.
    if (member !== undefined) member.asksAgain = isMarked ? 'marked' : 'plain';
  }

  /** The peer takes nothing now, or takes something again. */
  setBehind(peer: number, isBehind: boolean): void {
    const member = this.#members.get(peer);
    if (member !== undefined) this.#members.setBehind(member, isBehind);
  }

  /** How many units the peer has been told of. */
  toldCount(peer: number): number {
    return this.#members.has(peer) ? this.#told - (this.#hidden[peer] ?? 0) : 0;
  }

  /** The attributes that the peer has been told, or is about to be, of a prefix; one set for each of its paths. */
  told(peer: number, id: number): OutSet['attributes'][] {
    if (!this.#members.has(peer)) return [];
    return this.#unitsOf(id).flatMap((unit) => this.#toldTo(unit, peer)?.attributes ?? []);
  }

  /** Whether the peer is still to be told of the prefix as it is now. */
  isPending(peer: number, id: number): boolean {
    const pending = this.#members.get(peer)?.pending;
    return pending !== undefined && this.#unitsOf(id).some((unit) => pending.has(unit));
  }

  isBehind(peer: number): boolean {
    return this.#members.get(peer)?.isBehind === true;
  }

  /** The prefix has been decided: whatever is different now for the peers is noted for `flush()`. */
  decided(id: number): void {
    if (!this.#sendsPathIds) {
      const best = this.#table.best(id);
      this.#put(id + 1, best === 0 ? undefined : this.#outgoing.of(this.#table.setOf(best), id));
      return;
    }
    for (let path = this.#table.first(id); path !== 0; path = this.#table.next(path)) {
      const isOut = this.#table.isGone(path) || this.#table.setOf(path).ineligible !== undefined;
      this.#put(path, isOut ? undefined : this.#outgoing.of(this.#table.setOf(path), id));
    }
  }

  /** Those who have come since the last flush get what the others have been told so far. */
  admit(): void {
    this.#members.admit((alone) => {
      const pending = new IdSet();
      // For one alone what is hidden from it is left out; for several it is passed over when it is written.
      this.#addTold(pending, alone);
      return pending;
    });
    for (const member of this.#members.all()) if (member.asksAgain !== undefined) this.#beginRefresh(member);
  }

  /**
   * Writes what there is to say. `isSettled`: the family's table is decided, so that End-of-RIB may be said.
   * True if there is more, for another flush.
   */
  flush(writer: UpdateWriter, isSettled: boolean): boolean {
    this.#log = new GroupLog();
    this.#inStep.clear();
    for (const { peer, pending } of this.#members.all()) if (pending === undefined) this.#inStep.add(peer);
    const parts = {
      table: this.#table,
      nlri: this.#nlri,
      writer,
      chain: this.#next,
      maxOctets: this.#maxOctets,
    };
    this.#touched.sort((a, b) => (a.excluded[0] ?? 0) - (b.excluded[0] ?? 0));
    for (const out of this.#touched) {
      this.#log.withdraw(parts, out.withdraw, out.excluded, undefined);
      out.withdraw = 0;
    }
    for (const out of this.#touched) out.announce = this.#log.announce(parts, out, undefined);
    this.#postpone();
    this.#flushExceptions(parts);
    const isDone = this.#flushPending(parts);
    if (isSettled) this.#flushEnds(parts);
    writer.finishChunk();
    this.#forgetChains();
    return !isDone;
  }

  /** Hands each peer its part of the last flush. */
  deliver(updatesOf: (peer: number) => PeerUpdatesBuilder): void {
    if (this.#log.stretches.length === 0) return;
    for (const { peer } of this.#members.all()) {
      const isInStep = this.#inStep.has(peer);
      let updates: PeerUpdatesBuilder | undefined;
      for (const stretch of this.#log.stretches) {
        if (!(stretch.only?.includes(peer) ?? isInStep) || stretch.except.includes(peer)) continue;
        updates ??= updatesOf(peer);
        updates.add(stretch);
      }
    }
  }

  readonly #next = (unit: number): number => this.#link[unit] ?? 0;

  #holds(unit: number): boolean {
    if ((this.#sent[unit] ?? 0) !== 0) return true;
    return this.#members.pending.some((pending) => pending.has(unit));
  }

  #unitsOf(id: number): number[] {
    if (!this.#sendsPathIds) return [id + 1];
    const paths: number[] = [];
    for (let path = this.#table.first(id); path !== 0; path = this.#table.next(path)) paths.push(path);
    return paths;
  }

  /** What the unit was told with last, unless the peer was left out. */
  #toldTo(unit: number, peer: number | undefined): OutSet | undefined {
    const out = this.#outs[this.#sent[unit] ?? 0];
    return peer !== undefined && out?.excluded.includes(peer) === true ? undefined : out;
  }

  #addTold(pending: IdSet, peer: number | undefined): void {
    for (let unit = 1; unit < this.#sent.length; unit++)
      if (this.#toldTo(unit, peer) !== undefined) pending.add(unit);
  }

  #beginRefresh(member: Member): void {
    const isMarked = member.asksAgain === 'marked';
    member.asksAgain = undefined;
    this.#addTold(this.#members.ownPending(member), member.peer);
    // The End-of-RIB that is still owed says as much.
    if (!isMarked || member.end === 'endOfRib') return;
    member.begins = true;
    member.end = 'endOfRefresh';
  }

  /** Sets whose next hop is the new member's own address are not for it. */
  #admitAddress({ peer, address }: Member): void {
    this.#outgoing.forget();
    for (const out of this.#outs) {
      if (out === undefined || out.excluded.includes(peer)) continue;
      const { nextHop } = out.attributes;
      if (nextHop.family !== address.family || nextHop.value !== address.value) continue;
      out.excluded = [...out.excluded, peer];
      this.#hide(peer, out.users);
    }
  }

  /** Notes that the unit is to be told with `out` from now on. */
  #put(unit: number, out: OutSet | undefined): void {
    const old = this.#outs[this.#sent[unit] ?? 0];
    if (old === out) return;
    this.#ensureUnits(unit);
    if (old !== undefined) this.#use(old, -1);
    if (out !== undefined) this.#use(out, 1);
    this.#sent[unit] = out?.index ?? 0;
    for (const pending of this.#members.pending) pending.add(unit);
    if (out === undefined) {
      if (old !== undefined) this.#chainWithdrawal(unit, old);
    } else if (old === undefined) {
      this.#chainAnnouncement(unit, out);
    } else {
      this.#replace(unit, old, out);
    }
  }

  #replace(unit: number, old: OutSet, out: OutSet): void {
    // Those who had the old one and may not have the new.
    for (const peer of out.excluded) if (!old.excluded.includes(peer)) this.#except(peer, unit);
    if (!old.isLike(out)) {
      this.#chainAnnouncement(unit, out);
      return;
    }
    // The same to read: only those do not know it who might not have the old one.
    for (const peer of old.excluded) if (!out.excluded.includes(peer)) this.#except(peer, unit);
  }

  /** One unit more or less has the set; it has a number while any has. */
  #use(out: OutSet, by: 1 | -1): void {
    out.users += by;
    this.#told += by;
    for (const peer of out.excluded) this.#hide(peer, by);
    this.#touch(out);
    if (out.index !== 0) return;
    out.index = this.#freeOuts.pop() ?? this.#outs.length;
    this.#outs[out.index] = out;
  }

  #hide(peer: number, by: number): void {
    this.#hidden[peer] = (this.#hidden[peer] ?? 0) + by;
  }

  #touch(out: OutSet): void {
    if (out.isTouched) return;
    out.isTouched = true;
    this.#touched.push(out);
  }

  #chainAnnouncement(unit: number, out: OutSet): void {
    this.#link[unit] = out.announce;
    out.announce = unit;
  }

  #chainWithdrawal(unit: number, old: OutSet): void {
    this.#link[unit] = old.withdraw;
    old.withdraw = unit;
  }

  /** The peer is to be told of the unit beside the others. */
  #except(peer: number, unit: number): void {
    const member = this.#members.get(peer);
    if (member === undefined) return;
    if (member.pending !== undefined) {
      // What it waits for together with others would pass it over.
      this.#members.ownPending(member);
      return;
    }
    const units = this.#exceptions.get(peer);
    if (units === undefined) this.#exceptions.set(peer, [unit]);
    else units.push(unit);
  }

  #flushExceptions(parts: LogParts): void {
    for (const [peer, units] of this.#exceptions) {
      const member = this.#members.get(peer);
      if (member === undefined) continue;
      const rest = member.pending === undefined ? this.#tell(parts, units, [peer]) : units;
      if (rest.length === 0) continue;
      const pending = this.#members.ownPending(member);
      for (const unit of rest) pending.add(unit);
    }
    this.#exceptions.clear();
  }

  /** What is beyond the limit of a flush is told to those in step as to those who are behind. */
  #postpone(): void {
    const rest = this.#touched.filter(({ announce }) => announce !== 0);
    if (rest.length === 0) return;
    const pending = new IdSet();
    for (const out of rest) {
      for (let unit = out.announce; unit !== 0; unit = this.#next(unit)) pending.add(unit);
      out.announce = 0;
    }
    for (const member of this.#members.all())
      if (member.pending === undefined) this.#members.setPending(member, pending);
  }

  /** True if all that can be told has been. */
  #flushPending(parts: LogParts): boolean {
    let isDone = true;
    for (const [pending, members] of this.#members.waiting()) {
      for (const member of members) {
        if (member.begins) this.#log.mark(parts, 'beginOfRefresh', [member.peer]);
        member.begins = false;
      }
      const peers = members.map(({ peer }) => peer);
      const units = this.#log.octets > this.#maxOctets ? [] : pending.take(MAX_PENDING);
      if (units.length > 0) this.#members.version++;
      for (const unit of this.#tell(parts, units, peers)) pending.add(unit);
      if (pending.size > 0) isDone = false;
      else for (const member of members) this.#members.setPending(member, undefined);
    }
    return isDone;
  }

  /** The present state of the units, to these peers alone; returns those that are beyond the limit of a flush. */
  #tell(parts: LogParts, units: readonly number[], peers: readonly number[]): number[] {
    const [alone] = peers.length === 1 ? peers : [];
    const outs = new Set<OutSet>();
    let gone = 0;
    for (const unit of units) {
      this.#ensureUnits(unit);
      const out = this.#toldTo(unit, alone);
      if (out === undefined) {
        this.#link[unit] = gone;
        gone = unit;
      } else {
        this.#chainAnnouncement(unit, out);
        outs.add(out);
      }
    }
    this.#log.withdraw(parts, gone, [], peers);
    const rest: number[] = [];
    for (const out of outs) {
      for (let unit = this.#log.announce(parts, out, peers); unit !== 0; unit = this.#next(unit))
        rest.push(unit);
      out.announce = 0;
    }
    return rest;
  }

  #flushEnds(parts: LogParts): void {
    for (const end of ['endOfRib', 'endOfRefresh'] as const) {
      const members = [...this.#members.all()].filter(
        (member) => member.end === end && member.pending === undefined,
      );
      if (members.length === 0) continue;
      this.#log.mark(
        parts,
        end,
        members.map(({ peer }) => peer),
      );
      for (const member of members) member.end = undefined;
    }
  }

  #forgetChains(): void {
    for (const out of this.#touched) {
      out.isTouched = false;
      out.announce = 0;
      out.withdraw = 0;
      if (out.users > 0) continue;
      this.#outs[out.index] = undefined;
      this.#freeOuts.push(out.index);
      out.index = 0;
    }
    this.#touched = [];
  }

  #ensureUnits(unit: number): void {
    if (unit < this.#sent.length) return;
    this.#sent = grownColumn(this.#sent, unit + 1);
    this.#link = grownColumn(this.#link, unit + 1);
  }
}

function isAlike(a: OutSet | undefined, b: OutSet | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.isLike(b));
}
