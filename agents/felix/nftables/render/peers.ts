// Which addresses are which numbers (docs/dataplane.md "Identities", "CIDR classes"):
//   id4/id6    exact addresses → number of the list of identities that they carry        hash
//   net4/net6  the whole space in disjoint intervals → class: identities of network sets, networks that rules name
//   all4/all6  the whole space with exact addresses in it; only there while a rule negates a selector or the like
// Every negation becomes a positive lookup here: a class knows everything that holds for its addresses.

import { FAMILIES, type Family, familyBits, formatIp, parseCidr } from '../../../../lib/net/ip.ts';
import type { IdentityId } from '../../../../lib/policy/compiled.ts';
import type { Changes, DataplaneState } from './dataplane-state.ts';
import { type Atom, formatInterval, type Interval, partition } from './intervals.ts';
import type { Numbering } from './numbering.ts';
import type { NftSet, NftTable, SetDefinition } from './table.ts';

export type PeerTable = 'id' | 'net' | 'all';

/** A number and everything that holds for the addresses that lead to it. */
export interface PeerClass {
  readonly number: number;
  readonly identities: readonly IdentityId[];
  /** Canonical networks that rules name and that hold. */
  readonly nets: ReadonlySet<string>;
}

/** What the active rules ask of the interval tables. */
export interface IntervalNeeds {
  readonly ruleNets: ReadonlySet<string>;
  readonly needsAll: boolean;
}

/**
 * Interval maps that divide the space finer or coarser than before, while what holds for each address is the same: a step of its own, as
 * interval maps show what is new in them later than everything else of their transaction.
 */
export interface Redivision {
  readonly maps: ReadonlySet<string>;
  /** Number of a class that is new → of the one that it is a part of: whatever knows that one has to know it, too. */
  readonly partOf: ReadonlyMap<number, number>;
}

export interface PeerChanges {
  /** Exact-address classes that are new; their keys are missing wherever a selector matches them. */
  readonly newIdentityLists: readonly (readonly IdentityId[])[];
  readonly netChanged: boolean;
  readonly allChanged: boolean;
  readonly redivision: Redivision;
}

/** Networks that no rule names any more: with more, all of them go together with whatever changes. */
export const MOST_LINGERING = 1_000;
/** As many of them go in one transaction: each ends up to four intervals in each of two tables. */
const SETTLED_TOGETHER = 200;
const NO_NETS: ReadonlySet<string> = new Set();
export const UNDIVIDED: Redivision = { maps: new Set(), partOf: new Map() };

export class Peers {
  readonly #table: NftTable;
  readonly #numbering: Numbering;
  readonly #idSets: Record<Family, NftSet>;
  readonly #listOfAddress = new Map<string, string>();
  readonly #lists = new Map<string, { readonly peerClass: PeerClass; addresses: number }>();
  readonly #listsByIdentity = new Map<IdentityId, Set<string>>();
  #netClasses: readonly PeerClass[] = [];
  #allClasses: readonly PeerClass[] = [];
  /** Of the division before, by table: a packet finds them for as long as the kernel takes to show the new one. */
  #retired: Readonly<Record<'net' | 'all', readonly PeerClass[]>> = { net: [], all: [] };
  #namedNets: ReadonlySet<string> = NO_NETS;
  /** Networks that rules have named until of late, oldest first: the space is divided by them, too. */
  readonly #lingering = new Set<string>();
  readonly #heldIdentities = new Set<IdentityId>();
  /** Networks wider than one address, with their identities. */
  readonly #wideMembers = new Map<string, readonly IdentityId[]>();

  constructor(table: NftTable, numbering: Numbering) {
    this.#table = table;
    this.#numbering = numbering;
    this.#idSets = { 4: this.#defineHash(4), 6: this.#defineHash(6) };
  }

  setName(peerTable: PeerTable, family: Family): string {
    return this.#numbering.name(`${peerTable}${family}`);
  }

  classes(peerTable: 'net' | 'all'): readonly PeerClass[] {
    return peerTable === 'net' ? this.#netClasses : this.#allClasses;
  }

  /** Those that intervals have led to until the last change, and do not any more. */
  retiredClasses(peerTable: 'net' | 'all'): readonly PeerClass[] {
    return this.#retired[peerTable];
  }

  /** Whether `settle` has something to do. */
  get isUnsettled(): boolean {
    return this.#lingering.size + this.#retired.net.length + this.#retired.all.length > 0;
  }

  /** Every number that an address or interval leads to, or may lead to. */
  allKnown(): readonly PeerClass[] {
    const lists = [...this.#lists.values()].map(({ peerClass }) => peerClass);
    const intervals = (['net', 'all'] as const).flatMap((table) => [
      ...this.classes(table),
      ...this.#retired[table],
    ]);
    return [...lists, ...intervals].sort((a, b) => a.number - b.number);
  }

  /** Classes of exact addresses that carry this identity. */
  classesOfIdentity(identity: IdentityId): readonly PeerClass[] {
    const lists = this.#listsByIdentity.get(identity);
    if (lists === undefined) return [];
    return [...lists].flatMap((list) => this.#lists.get(list)?.peerClass ?? []);
  }

  update(state: DataplaneState, changes: Changes, needs: IntervalNeeds, needsChanged: boolean): PeerChanges {
    const newIdentityLists: (readonly IdentityId[])[] = [];
    // An identity's own number is there before any address leads to it: its keys can be prepared.
    for (const id of changes.identities) this.#keepIdentity(state, id, newIdentityLists);
    const membersChanged = changes.members.size > 0;
    const wideChanged = this.#setMembers(state, changes.members, newIdentityLists);
    // Most changes name no other networks: there may be thousands.
    const before = needsChanged ? this.#ruleNets : NO_NETS;
    const isFiner = needsChanged && this.#divideBy(needs.ruleNets);
    const netChanged = (wideChanged || needsChanged) && this.#partitionNet();
    const allChanged = (membersChanged || needsChanged) && this.#partitionAll(state, needs);
    const redivided: ('net' | 'all')[] = [];
    if (isFiner && netChanged && !wideChanged) redivided.push('net');
    if (isFiner && allChanged && !membersChanged) redivided.push('all');
    const redivision = { maps: this.#mapsOf(redivided), partOf: this.#partOf(redivided, before) };
    return { newIdentityLists, netChanged, allChanged, redivision };
  }

  /** Forgets some of what lingers, then what is retired. Nothing else may change with it. */
  settle(state: DataplaneState, needs: IntervalNeeds): Redivision {
    if (this.#lingering.size === 0) {
      this.#retired = { net: [], all: [] };
      return UNDIVIDED;
    }
    for (const net of [...this.#lingering].slice(0, SETTLED_TOGETHER)) this.#lingering.delete(net);
    this.#partitionNet();
    this.#partitionAll(state, needs);
    return { maps: this.#mapsOf(['net', 'all']), partOf: new Map() };
  }

  get #ruleNets(): ReadonlySet<string> {
    return new Set([...this.#namedNets, ...this.#lingering]);
  }

  /** What is named no more goes in a change of its own. False if it is too much, so that the space becomes coarser at once. */
  #divideBy(named: ReadonlySet<string>): boolean {
    for (const net of this.#namedNets) if (!named.has(net)) this.#lingering.add(net);
    for (const net of this.#lingering) if (named.has(net)) this.#lingering.delete(net);
    this.#namedNets = named;
    if (this.#lingering.size <= MOST_LINGERING) return true;
    this.#lingering.clear();
    return false;
  }

  /** By number, of a division that is finer by what `before` does not have: identities carry the same labels for ever. */
  #partOf(tables: readonly ('net' | 'all')[], before: ReadonlySet<string>): ReadonlyMap<number, number> {
    const partOf = new Map<number, number>();
    for (const table of tables) {
      const wholes = new Map(
        [...this.classes(table), ...this.#retired[table]].map(({ number, identities, nets }) => [
          meaningOf(identities, nets),
          number,
        ]),
      );
      for (const { number, identities, nets } of this.classes(table)) {
        const named = [...nets].filter((net) => before.has(net));
        const whole = wholes.get(meaningOf(identities, named));
        if (whole !== undefined && whole !== number) partOf.set(number, whole);
      }
    }
    return partOf;
  }

  #mapsOf(tables: readonly ('net' | 'all')[]): ReadonlySet<string> {
    return new Set(tables.flatMap((table) => FAMILIES.map((family) => this.setName(table, family))));
  }

  #defineHash(family: Family): NftSet {
    const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    return this.#table.defineSet({
      name: this.setName('id', family),
      kind: 'map',
      declaration: `type ${type} : ${this.#numbering.scratch.type}; comment "address to identity number";`,
      role: 'address',
      isInterval: false,
      isKeyed: false,
      onlyAllows: false,
    });
  }

  #keepIdentity(state: DataplaneState, id: IdentityId, made: (readonly IdentityId[])[]): void {
    const isKnown = state.identities.has(id);
    if (isKnown === this.#heldIdentities.has(id)) return;
    if (isKnown) {
      this.#heldIdentities.add(id);
      this.#holdList([id], made);
    } else {
      this.#heldIdentities.delete(id);
      this.#releaseList(String(id));
    }
  }

  /** Whether a network wider than one address is among them. */
  #setMembers(state: DataplaneState, members: ReadonlySet<string>, made: (readonly IdentityId[])[]): boolean {
    let wideChanged = false;
    for (const net of members) {
      const cidr = parseCidr(net);
      if (cidr === undefined) continue;
      const { family, length, base } = cidr;
      const identities = state.members.get(net);
      if (length === familyBits(family)) {
        this.#setAddress(family, formatIp({ family, value: base }), identities, made);
        continue;
      }
      wideChanged = true;
      if (identities === undefined) this.#wideMembers.delete(net);
      else this.#wideMembers.set(net, identities);
    }
    return wideChanged;
  }

  #setAddress(
    family: Family,
    address: string,
    identities: readonly IdentityId[] | undefined,
    made: (readonly IdentityId[])[],
  ): void {
    const set = this.#idSets[family];
    const before = this.#listOfAddress.get(address);
    if (identities === undefined) {
      this.#listOfAddress.delete(address);
      this.#table.deleteElement(set, address);
    } else {
      const number = this.#holdList(identities, made);
      this.#listOfAddress.set(address, identities.join(','));
      this.#table.setElement(set, address, { value: String(number) });
    }
    if (before !== undefined) this.#releaseList(before);
  }

  #holdList(identities: readonly IdentityId[], made: (readonly IdentityId[])[]): number {
    const list = identities.join(',');
    const held = this.#lists.get(list);
    if (held !== undefined) {
      held.addresses++;
      return held.peerClass.number;
    }
    const number = this.#numbering.identities.numberOf(list);
    this.#lists.set(list, { peerClass: { number, identities, nets: NO_NETS }, addresses: 1 });
    for (const identity of identities) {
      const lists = this.#listsByIdentity.get(identity) ?? new Set();
      this.#listsByIdentity.set(identity, lists.add(list));
    }
    made.push(identities);
    return number;
  }

  #releaseList(list: string): void {
    const held = this.#lists.get(list);
    if (held === undefined) return;
    held.addresses--;
    if (held.addresses > 0) return;
    this.#lists.delete(list);
    for (const identity of held.peerClass.identities) {
      const lists = this.#listsByIdentity.get(identity);
      lists?.delete(list);
      if (lists?.size === 0) this.#listsByIdentity.delete(identity);
    }
    this.#numbering.identities.forget(list);
  }

  #partitionNet(): boolean {
    const ruleNets = this.#ruleNets;
    const isNeeded = ruleNets.size > 0 || this.#wideMembers.size > 0;
    const atoms = isNeeded ? [...memberAtoms(this.#wideMembers), ...ruleAtoms(ruleNets)] : undefined;
    const before = this.#netClasses;
    this.#netClasses = this.#program('net', atoms);
    return this.#retire('net', before);
  }

  #partitionAll(state: DataplaneState, needs: IntervalNeeds): boolean {
    if (!needs.needsAll && this.#allClasses.length === 0) return false;
    const atoms = needs.needsAll ? [...memberAtoms(state.members), ...ruleAtoms(this.#ruleNets)] : undefined;
    const before = this.#allClasses;
    this.#allClasses = this.#program('all', atoms);
    return this.#retire('all', before);
  }

  /** Whether there are other classes than before. Where the maps themselves go, no rule may look into them any more. */
  #retire(table: 'net' | 'all', before: readonly PeerClass[]): boolean {
    const now = this.classes(table);
    if (sameClasses(now, before)) return false;
    const numbers = new Set(now.map(({ number }) => number));
    const retired = now.length === 0 ? [] : before.filter(({ number }) => !numbers.has(number));
    this.#retired = { ...this.#retired, [table]: retired };
    return true;
  }

  /** Brings both families' maps to these atoms; undefined takes the maps away. */
  #program(peerTable: 'net' | 'all', atoms: readonly Atom[] | undefined): readonly PeerClass[] {
    const classes = new Map<number, PeerClass>();
    for (const family of FAMILIES) {
      const name = this.setName(peerTable, family);
      if (atoms === undefined) {
        this.#table.deleteSet(name);
        continue;
      }
      const set = this.#table.defineSet(intervalDefinition(name, family, this.#numbering.scratch.type));
      const elements = new Map<string, { readonly value: string }>();
      for (const interval of partition(family, atoms)) {
        const peerClass = this.#classOf(peerTable, interval);
        classes.set(peerClass.number, peerClass);
        elements.set(formatInterval(family, interval), { value: String(peerClass.number) });
      }
      this.#table.replaceElements(set, elements);
    }
    return [...classes.values()];
  }

  /** Classes keep their number while what holds in them is the same. */
  #classOf(peerTable: 'net' | 'all', interval: Interval): PeerClass {
    const number = this.#numbering.classes.numberOf(`${peerTable} ${interval.atoms.join(' ')}`);
    const identities = new Set<IdentityId>();
    const nets = new Set<string>();
    for (const atom of interval.atoms) {
      if (atom.startsWith('i')) identities.add(Number(atom.slice(1)));
      else nets.add(atom.slice(1));
    }
    return { number, identities: [...identities], nets };
  }
}

function intervalDefinition(name: string, family: Family, valueType: string): SetDefinition {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  return {
    name,
    kind: 'map',
    declaration: `type ${type} : ${valueType}; flags interval; comment "network to CIDR class";`,
    role: 'address',
    isInterval: true,
    isKeyed: false,
    onlyAllows: false,
  };
}

function* memberAtoms(members: ReadonlyMap<string, readonly IdentityId[]>): Generator<Atom> {
  for (const [net, identities] of members) {
    const cidr = parseCidr(net);
    if (cidr !== undefined) for (const identity of identities) yield { cidr, name: `i${identity}` };
  }
}

function* ruleAtoms(nets: ReadonlySet<string>): Generator<Atom> {
  for (const net of nets) {
    const cidr = parseCidr(net);
    if (cidr !== undefined) yield { cidr, name: `n${net}` };
  }
}

function meaningOf(identities: readonly IdentityId[], nets: Iterable<string>): string {
  return `${[...identities].sort((a, b) => a - b).join()} ${[...nets].sort().join()}`;
}

function sameClasses(a: readonly PeerClass[], b: readonly PeerClass[]): boolean {
  const numbers = new Set(a.map((peerClass) => peerClass.number));
  return a.length === b.length && b.every((peerClass) => numbers.has(peerClass.number));
}
