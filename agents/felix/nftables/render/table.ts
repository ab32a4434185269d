// The nftables table as plain values (docs/dataplane.md "Objects"): sets, maps and chains by name. The same form holds what is
// desired and what was programmed; a desired table also remembers what was touched, so that a change costs what it changes.

/**
 * What a set is for, which decides when its elements may move (docs/dataplane.md "One change"):
 * `address` address or network → number; `endpoint` interface → group; `group` group → chain; `lookup` keys of rules, whose
 * first field is a number where `keyed`; `ids` what allows → the mark of its flows; `plain` everything else, read per packet ahead of conntrack.
 */
export type SetRole = 'address' | 'endpoint' | 'group' | 'ids' | 'lookup' | 'own' | 'plain';

export interface ElementValue {
  /** Empty for a set's element. */
  readonly value: string;
  readonly comment?: string;
}

/** Of the maps from interface to group and the chains that ask them there are two (dispatch.ts). */
export type DispatchCopy = 'a' | 'b';

export interface SetDefinition {
  readonly name: string;
  readonly kind: 'set' | 'map';
  /** What stands between the braces when the set is made: type, flags, size, comment. */
  readonly declaration: string;
  readonly role: SetRole;
  /** Interval sets show new content only after a transaction's end. */
  readonly isInterval: boolean;
  /** The key's first field is an identity or class number. */
  readonly isKeyed: boolean;
  /** A hit can only allow: adding to it takes nothing from a live flow. */
  readonly onlyAllows: boolean;
  /** Of a map from interface to group: which copy, and the map from group to chain that its values are keys of. */
  readonly dispatch?: { readonly copy: DispatchCopy; readonly groups: string };
}

export interface NftSet extends SetDefinition {
  readonly elements: Map<string, ElementValue>;
}

/** `base` chains hook into the kernel and know the generation; `generation` chains carry its number in their name. */
export type ChainRole = 'base' | 'generation' | 'static' | 'group';

export interface NftChain {
  readonly name: string;
  readonly role: ChainRole;
  /** `type filter hook …;` and a comment, or empty. */
  readonly declaration: string;
  readonly rules: readonly string[];
  /** Of a `generation` chain: the copy that it leads to. */
  readonly dispatch?: DispatchCopy;
}

/** Deletions need the kind; everything else is known by name. */
export type ObjectKind = 'set' | 'map' | 'chain';

export class NftTable {
  readonly sets = new Map<string, NftSet>();
  readonly chains = new Map<string, NftChain>();
  /** How many addresses lead to a number. */
  readonly #numberReferences = new Map<number, number>();
  /** How many keys that can do other than allow have a number as their first field. */
  readonly #restrictingKeys = new Map<number, number>();
  /** How many interfaces lead to a group, in both copies, by the name of the map from group to chain and the group. */
  readonly #groupReferences = new Map<string, number>();
  /** Of the chains that were made last: those of generations before lead to where they did. */
  #dispatch: DispatchCopy | undefined;
  readonly #touchedElements = new Map<string, Set<string>>();
  readonly #touchedObjects = new Set<string>();

  defineSet(definition: SetDefinition): NftSet {
    const existing = this.sets.get(definition.name);
    if (existing !== undefined) return existing;
    const made: NftSet = { ...definition, elements: new Map() };
    this.sets.set(definition.name, made);
    this.#touchedObjects.add(definition.name);
    return made;
  }

  setElement(set: NftSet, key: string, element: ElementValue): void {
    const before = set.elements.get(key);
    if (before !== undefined && before.value === element.value && before.comment === element.comment) return;
    if (before !== undefined) this.#count(set, key, before.value, -1);
    set.elements.set(key, element);
    this.#count(set, key, element.value, 1);
    this.#touchElement(set.name, key);
  }

  deleteElement(set: NftSet, key: string): void {
    const before = set.elements.get(key);
    if (before === undefined) return;
    set.elements.delete(key);
    this.#count(set, key, before.value, -1);
    this.#touchElement(set.name, key);
  }

  /** Brings the set's elements to exactly these. */
  replaceElements(set: NftSet, elements: ReadonlyMap<string, ElementValue>): void {
    for (const key of set.elements.keys()) if (!elements.has(key)) this.deleteElement(set, key);
    for (const [key, element] of elements) this.setElement(set, key, element);
  }

  deleteSet(name: string): void {
    const set = this.sets.get(name);
    if (set === undefined) return;
    for (const [key, element] of set.elements) this.#count(set, key, element.value, -1);
    this.sets.delete(name);
    this.#touchedObjects.add(name);
    this.#touchedElements.delete(name);
  }

  setChain(chain: NftChain): void {
    const before = this.chains.get(chain.name);
    if (before !== undefined && sameRules(before.rules, chain.rules)) return;
    this.chains.set(chain.name, chain);
    // One that is emptied leads nowhere any more.
    if (chain.rules.length > 0) this.#dispatch = chain.dispatch ?? this.#dispatch;
    this.#touchedObjects.add(chain.name);
  }

  deleteChain(name: string): void {
    if (this.chains.delete(name)) this.#touchedObjects.add(name);
  }

  /** Whether any address leads to this identity or class number. */
  isNumberLive(number: number): boolean {
    return (this.#numberReferences.get(number) ?? 0) > 0;
  }

  /** Whether any interface leads to this key of a map from group to chain. */
  isGroupLive(groups: string, group: string): boolean {
    return (this.#groupReferences.get(`${groups} ${group}`) ?? 0) > 0;
  }

  /** Whether the generation's chains lead to this map from interface to group, and not to the other copy. */
  isDispatching({ dispatch }: SetDefinition): boolean {
    return dispatch !== undefined && dispatch.copy === this.#dispatch;
  }

  /** Whether a rule that can deny or pass looks for this number. */
  isNumberRestricted(number: number): boolean {
    return (this.#restrictingKeys.get(number) ?? 0) > 0;
  }

  /** Names of sets and chains made, changed or deleted, and keys of elements, since the last call. */
  takeTouched(): Touched {
    const touched = {
      objects: new Set(this.#touchedObjects),
      elements: new Map(this.#touchedElements),
    };
    this.#touchedObjects.clear();
    this.#touchedElements.clear();
    return touched;
  }

  #touchElement(name: string, key: string): void {
    const keys = this.#touchedElements.get(name);
    if (keys === undefined) this.#touchedElements.set(name, new Set([key]));
    else keys.add(key);
  }

  #count(set: NftSet, key: string, value: string, by: number): void {
    if (set.isKeyed && !set.onlyAllows) add(this.#restrictingKeys, keyNumber(key), by);
    if (set.role === 'address') add(this.#numberReferences, Number(value), by);
    if (set.dispatch !== undefined) add(this.#groupReferences, `${set.dispatch.groups} ${value}`, by);
  }
}

export interface Touched {
  readonly objects: Set<string>;
  readonly elements: Map<string, Set<string>>;
}

/** The number in a keyed set's key: its first field. */
export function keyNumber(key: string): number {
  const space = key.indexOf(' ');
  return Number(space < 0 ? key : key.slice(0, space));
}

/** `comment "…";` for a declaration: at most 127 bytes, nothing that could end the string. */
export function commentClause(text: string): string {
  return `comment "${commentText(text)}";`;
}

export function commentText(text: string): string {
  // The owner of a run may be a thousand policies, and is named at each of its elements.
  const shown = text.length <= 120 ? text : `${text.slice(0, 117)}...`;
  return shown.replace(/[^ -~]|["\\]/g, '?');
}

function sameRules(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((rule, index) => rule === b[index]);
}

function add<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
