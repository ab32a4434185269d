// The members of an update group, and who of them is told with the others: a peer that has just come, that takes nothing, or
// that asked for everything again has a set of units that it is still to be told of.

import type { IpAddress } from '../../../lib/net/ip.ts';
import { IdSet } from './id-set.ts';

export interface Member {
  readonly peer: number;
  readonly address: IpAddress;
  /** What it is still to be told of; undefined: it is told with the others. Members that came together share one. */
  pending: IdSet | undefined;
  /** Its connection takes nothing now. */
  isBehind: boolean;
  /** Sent when `pending` is empty: End-of-RIB (RFC 4724 §2), or the end of a refresh (RFC 7313 §4). */
  end: 'endOfRib' | 'endOfRefresh' | undefined;
  /** Has asked for everything again: with or without marks around it. */
  asksAgain: 'marked' | 'plain' | undefined;
  /** A refresh whose beginning is to be said. */
  begins: boolean;
}

export class GroupMembers {
  readonly #members = new Map<number, Member>();
  readonly #joining = new Set<Member>();
  #pending: readonly IdSet[] = [];
  /** Grows whenever somebody waits for less, or for something else, than before. */
  version = 0;

  get size(): number {
    return this.#members.size;
  }

  /** The members' sets of what they are still to be told of, each once. */
  get pending(): readonly IdSet[] {
    return this.#pending;
  }

  has(peer: number): boolean {
    return this.#members.has(peer);
  }

  get(peer: number): Member | undefined {
    return this.#members.get(peer);
  }

  all(): Iterable<Member> {
    return this.#members.values();
  }

  /** Has come since the last flush, and has been told nothing. */
  isJoining(member: Member): boolean {
    return this.#joining.has(member);
  }

  /** One whose session has just come up. */
  join(peer: number, address: IpAddress): Member {
    const member: Member = {
      ...{ peer, address, pending: new IdSet(), isBehind: false },
      ...{ end: 'endOfRib', asksAgain: undefined, begins: false },
    };
    this.#joining.add(member);
    this.put(member);
    return member;
  }

  put(member: Member): void {
    this.#members.set(member.peer, member);
    this.#gather();
  }

  remove(peer: number): void {
    const member = this.#members.get(peer);
    if (member === undefined) return;
    this.#members.delete(peer);
    this.#joining.delete(member);
    this.#gather();
  }

  /** From now on the member is told of what is in `pending` first. */
  setPending(member: Member, pending: IdSet | undefined): void {
    member.pending = pending;
    this.#gather();
  }

  /** The member's set, made its own: those who came with it go on with theirs. */
  ownPending(member: Member): IdSet {
    const { pending } = member;
    const isShared = [...this.#members.values()].some(
      (other) => other !== member && other.pending === pending,
    );
    if (pending !== undefined && !isShared) return pending;
    const own = pending?.copy() ?? new IdSet();
    this.setPending(member, own);
    return own;
  }

  setBehind(member: Member, isBehind: boolean): void {
    member.isBehind = isBehind;
    if (isBehind) this.ownPending(member);
  }

  /** Those who have come get what the others have been told so far: `told` makes the set, for one alone or for several. */
  admit(told: (alone: number | undefined) => IdSet): void {
    const [first, ...others] = this.#joining;
    if (first === undefined) return;
    const pending = told(others.length === 0 ? first.peer : undefined);
    for (const member of this.#joining) member.pending = member.isBehind ? pending.copy() : pending;
    this.#joining.clear();
    this.#gather();
  }

  /** Members that can be told of what they wait for, by the set that they share. */
  waiting(): Map<IdSet, Member[]> {
    const bySet = new Map<IdSet, Member[]>();
    for (const member of this.#members.values()) {
      const { pending, isBehind } = member;
      if (pending === undefined || isBehind || this.#joining.has(member)) continue;
      const together = bySet.get(pending);
      if (together === undefined) bySet.set(pending, [member]);
      else together.push(member);
    }
    return bySet;
  }

  #gather(): void {
    this.version++;
    const sets = new Set<IdSet>();
    for (const { pending } of this.#members.values()) if (pending !== undefined) sets.add(pending);
    this.#pending = [...sets];
  }
}
