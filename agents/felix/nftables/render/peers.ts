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

/** Networks that no rule names any more: beyond, they go together with whatever changes. */
const MOST_LINGERING = 1_000;
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
  readonly #retired: Record<'net' | 'all', readonly PeerClass[]> = { net: [], all: [] };
  /** By which the space is divided: those that rules name, and some that rules have named until of late. */
  #ruleNets: ReadonlySet<string> = NO_NETS;
  #lingering = 0;
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

  /** Those that an interval leads to, or has led to until the last change. */
  classes(peerTable: 'net' | 'all'): readonly PeerClass[] {
    const now = peerTable === 'net' ? this.#netClasses : this.#allClasses;
    const numbers = new Set(now.map(({ number }) => number));
    return [...now, ...this.#retired[peerTable].filter(({ number }) => !numbers.has(number))];
  }

  /** Whether the space is divided by networks that no rule names any more. */
  get isFinerThanNeeded(): boolean {
    return this.#lingering > 0;
  }

  /** Every number that an address or interval leads to, or may lead to. */
  allKnown(): readonly PeerClass[] {
    const lists = [...this.#lists.values()].map(({ peerClass }) => peerClass);
    return [...lists, ...this.classes('net'), ...this.classes('all')].sort((a, b) => a.number - b.number);
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
    const before = this.#ruleNets;
    if (needsChanged) this.#divideBy(needs.ruleNets);
    const netChanged = (wideChanged || needsChanged) && this.#partitionNet();
    const allChanged = (membersChanged || needsChanged) && this.#partitionAll(state, needs);
    const redivided: ('net' | 'all')[] = [];
    if (netChanged && !wideChanged) redivided.push('net');
    if (allChanged && !membersChanged) redivided.push('all');
    return { newIdentityLists, netChanged, allChanged, redivision: this.#redivision(redivided, before) };
  }

  /** Divides the space by what rules name and nothing else; nothing else may change with this. */
  settle(state: DataplaneState, needs: IntervalNeeds): PeerChanges {
    this.#ruleNets = needs.ruleNets;
    this.#lingering = 0;
    const netChanged = this.#partitionNet();
    const allChanged = this.#partitionAll(state, needs);
    const redivision = this.#redivision(['net', 'all'], this.#ruleNets);
    return { newIdentityLists: [], netChanged, allChanged, redivision };
  }

  /** What is named no more goes in a change of its own: groups of this one know the classes that there are now. */
  #divideBy(named: ReadonlySet<string>): void {
    const lingering = [...this.#ruleNets].filter((net) => !named.has(net));
    const kept = lingering.length > MOST_LINGERING ? [] : lingering;
    this.#ruleNets = new Set([...named, ...kept]);
    this.#lingering = kept.length;
  }

  #redivision(tables: readonly ('net' | 'all')[], before: ReadonlySet<string>): Redivision {
    const partOf = new Map<number, number>();
    for (const table of tables) {
      const wholes = new Map(
        this.#retired[table].map(({ number, identities, nets }) => [meaningOf(identities, nets), number]),
      );
      for (const { number, identities, nets } of table === 'net' ? this.#netClasses : this.#allClasses) {
        const named = [...nets].filter((net) => before.has(net));
        const whole = wholes.get(meaningOf(identities, named));
        if (whole !== undefined && whole !== number) partOf.set(number, whole);
      }
    }
    const maps = tables.flatMap((table) => FAMILIES.map((family) => this.setName(table, family)));
    return { maps: new Set(maps), partOf };
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
    const isNeeded = this.#ruleNets.size > 0 || this.#wideMembers.size > 0;
    const atoms = isNeeded ? [...memberAtoms(this.#wideMembers), ...ruleAtoms(this.#ruleNets)] : undefined;
    const classes = this.#program('net', atoms);
    const changed = !sameClasses(classes, this.#netClasses);
    if (changed) this.#retired.net = this.#netClasses;
    this.#netClasses = classes;
    return changed;
  }

  #partitionAll(state: DataplaneState, needs: IntervalNeeds): boolean {
    if (!needs.needsAll && this.#allClasses.length === 0) return false;
    const atoms = needs.needsAll ? [...memberAtoms(state.members), ...ruleAtoms(this.#ruleNets)] : undefined;
    const classes = this.#program('all', atoms);
    const changed = !sameClasses(classes, this.#allClasses);
    if (changed) this.#retired.all = this.#allClasses;
    this.#allClasses = classes;
    return changed;
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
