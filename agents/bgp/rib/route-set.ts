// Attribute sets: what all prefixes share that one source has announced with the same attributes. Each is decoded, judged by
// the import policy and ranked once, however many prefixes have it (RFC 4271 §9.1.1).

import type { Cidr } from '../../../lib/net/ip.ts';
import type { AddressFamily } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { type Ranks, ranksOf } from './decision.ts';
import type { IneligibleReason, PathSource } from './path.ts';

/** What import makes of received attributes for one prefix; the same object for the same outcome. */
export interface Imported {
  readonly attributes: RouteAttributes;
  readonly ineligible?: IneligibleReason;
}

/** Judges received attributes. Without a prefix: the outcome for all prefixes; undefined if it depends on the prefix. */
export interface Importer {
  readonly all: (received: RouteAttributes, family: AddressFamily) => Imported | undefined;
  readonly one: (received: RouteAttributes, prefix: Cidr) => Imported;
  /** Names the outcome: equal for the same one of the same received set. */
  readonly outcome: (received: RouteAttributes, prefix: Cidr) => unknown;
}

/** As received, before the import policy: what a changed policy starts from. */
export class ReceivedSet {
  readonly owner: SourceSets;
  readonly key: string;
  readonly family: AddressFamily;
  readonly attributes: RouteAttributes;
  /** How many paths have one of its route sets. */
  users = 0;
  /** Where the outcome depends on the prefix. */
  byOutcome: Map<unknown, RouteSet> | undefined;
  whole: RouteSet | undefined;

  constructor(owner: SourceSets, key: string, family: AddressFamily, attributes: RouteAttributes) {
    this.owner = owner;
    this.key = key;
    this.family = family;
    this.attributes = attributes;
  }
}

/** A received set after import: what the decision process and the update groups see. */
export class RouteSet {
  readonly index: number;
  readonly received: ReceivedSet;
  readonly source: PathSource;
  readonly sourceIndex: number;
  readonly attributes: RouteAttributes;
  readonly ineligible: IneligibleReason | undefined;
  readonly ranks: Ranks;
  /** How many paths have it. */
  users = 0;
  /** What each update group makes of it, by the group's index; the group's own business. */
  readonly outgoing: unknown[] = [];

  constructor(index: number, received: ReceivedSet, { attributes, ineligible }: Imported) {
    const { source, sourceIndex, localAsn } = received.owner;
    this.index = index;
    this.received = received;
    this.source = source;
    this.sourceIndex = sourceIndex;
    this.attributes = attributes;
    this.ineligible = ineligible;
    this.ranks = ranksOf(attributes, source, localAsn);
  }
}

/** What all attribute sets together may take: beyond it sources with more than their share have to go. */
const MAX_OCTETS = 512 * 1024 * 1024;
/** A set is there as its key, as decoded values, and as what is sent. */
const COPIES = 3;
/** What a set takes whatever is in it, as measured. */
const OCTETS_PER_SET = 512;

/** Numbers for route sets, so that a path needs four octets for its attributes. */
export class RouteSetTable {
  /** That the sets of all sources take. */
  octets = 0;
  readonly #sets: (RouteSet | undefined)[] = [];
  readonly #free: number[] = [];

  add(received: ReceivedSet, imported: Imported): RouteSet {
    const set = new RouteSet(this.#free.pop() ?? this.#sets.length, received, imported);
    this.#sets[set.index] = set;
    return set;
  }

  get(index: number): RouteSet {
    const set = this.#sets[index];
    if (set === undefined) throw new Error(`no route set ${index}`);
    return set;
  }

  use(set: RouteSet): void {
    set.users++;
    set.received.users++;
  }

  /** One path less has it; a set without any is gone. */
  release(set: RouteSet): void {
    const { received } = set;
    set.users--;
    received.users--;
    if (set.users === 0) this.#drop(set);
    if (received.users === 0) received.owner.forget(received);
  }

  #drop(set: RouteSet): void {
    const { received } = set;
    if (received.whole === set) received.whole = undefined;
    const { byOutcome } = received;
    if (byOutcome !== undefined)
      for (const [outcome, known] of byOutcome) if (known === set) byOutcome.delete(outcome);
    if (this.#sets[set.index] !== set) return;
    this.#sets[set.index] = undefined;
    this.#free.push(set.index);
  }
}

/** The sets of one source under one session. */
export class SourceSets {
  source: PathSource;
  readonly sourceIndex: number;
  readonly localAsn: number;
  readonly #table: RouteSetTable;
  readonly #byKey = new Map<string, ReceivedSet>();
  #octets = 0;
  #importer: Importer;

  constructor(
    table: RouteSetTable,
    source: PathSource,
    sourceIndex: number,
    localAsn: number,
    importer: Importer,
  ) {
    this.#table = table;
    this.source = source;
    this.sourceIndex = sourceIndex;
    this.localAsn = localAsn;
    this.#importer = importer;
  }

  get(key: string): ReceivedSet | undefined {
    return this.#byKey.get(key);
  }

  /** Whether sets take more memory than they may, and this source's more than its share of `sources`. */
  isOverBudget(sources: number): boolean {
    return this.#table.octets > MAX_OCTETS && this.#octets > MAX_OCTETS / sources;
  }

  /** `key`: equal exactly for equal attributes of the family. */
  add(key: string, family: AddressFamily, attributes: RouteAttributes): ReceivedSet {
    const received = new ReceivedSet(this, key, family, attributes);
    this.#byKey.set(key, received);
    this.#account(received, 1);
    return received;
  }

  forget(received: ReceivedSet): void {
    if (this.#byKey.get(received.key) !== received) return;
    this.#byKey.delete(received.key);
    this.#account(received, -1);
  }

  #account({ key }: ReceivedSet, by: 1 | -1): void {
    const octets = by * (COPIES * key.length + OCTETS_PER_SET);
    this.#octets += octets;
    this.#table.octets += octets;
  }

  /** From now on sets are made and judged by these; those made before are not used again. */
  judgeAgain(source: PathSource, importer: Importer): void {
    this.source = source;
    this.#importer = importer;
    for (const received of this.#byKey.values()) {
      received.whole = undefined;
      received.byOutcome = undefined;
    }
  }

  /** The same received set as one of these: that of a path kept over a restart is of an earlier session. */
  own(received: ReceivedSet): ReceivedSet {
    if (received.owner === this) return received;
    const { key, family, attributes } = received;
    return this.get(key) ?? this.add(key, family, attributes);
  }

  /** The set that all prefixes get; undefined if that depends on the prefix. */
  whole(received: ReceivedSet): RouteSet | undefined {
    if (received.whole !== undefined) return received.whole;
    const imported = this.#importer.all(received.attributes, received.family);
    if (imported === undefined) return undefined;
    received.whole = this.#table.add(received, imported);
    return received.whole;
  }

  forPrefix(received: ReceivedSet, prefix: () => Cidr): RouteSet {
    const whole = this.whole(received);
    if (whole !== undefined) return whole;
    const cidr = prefix();
    const outcome = this.#importer.outcome(received.attributes, cidr);
    received.byOutcome ??= new Map();
    const known = received.byOutcome.get(outcome);
    if (known !== undefined) return known;
    const made = this.#table.add(received, this.#importer.one(received.attributes, cidr));
    received.byOutcome.set(outcome, made);
    return made;
  }
}
