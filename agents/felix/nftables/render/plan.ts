// Desired against programmed: which transactions, in which order (docs/dataplane.md "One change, up to five transactions").
//   prepare     objects and keys that nothing leads to yet
//   redivide    the address space cut otherwise, while what holds for each address stays the same
//   change      what moves verdicts
//   generation  the chains that stamp, under a new number; with `change` unless that touches an interval element
//   clean up    what nothing has led to for a second
// A packet under way keeps the old rules and sees the new elements: this order is what keeps its verdict right. `change` is one
// transaction or none: half of it in the kernel would judge packets by neither the old nor the new policy.

import { inOrder, type Operation, splitPreparation } from './operations.ts';
import { type Redivision, UNDIVIDED } from './peers.ts';
import { keyNumber, type NftChain, type NftSet, type NftTable, type Touched } from './table.ts';

export type Phase = 'prepare' | 'redivide' | 'change' | 'generation' | 'cleanUp';

export interface PlannedTransaction {
  /** More than one where phases are merged. */
  readonly phases: readonly Phase[];
  /** Not even its chains that stamp may follow the rest: they judge otherwise than before, too. */
  readonly isIndivisible: boolean;
  readonly operations: readonly Operation[];
}

export interface Plan {
  readonly transactions: readonly PlannedTransaction[];
  /** A live flow's verdict may turn to a denial: the caller moves the generation and plans again. */
  readonly needsGeneration: boolean;
  /** The chains that stamp, which have host endpoints and settings in them, change in more than their number. */
  readonly changesSurroundings: boolean;
  /** Why it cannot be one transaction: the caller makes everything anew under another epoch. Undefined: it can. */
  readonly replaceBecause: string | undefined;
  /** Milliseconds until the next clean-up is due; undefined if there is none to come. */
  readonly cleanUpInMs: number | undefined;
}

/** Milliseconds after which no packet under way can hold what has been unreachable since. */
export const UNREACHABLE_MS = 1_000;

export interface PlanLimits {
  /** A larger `change` is not planned. */
  readonly operationsPerTransaction: number;
}
/** What the smallest socket buffer takes. */
export const OPERATIONS_PER_TRANSACTION = 2_000;
const DEFAULT_LIMITS: PlanLimits = { operationsPerTransaction: OPERATIONS_PER_TRANSACTION };

interface Draft {
  readonly prepare: Operation[];
  readonly redivide: Operation[];
  readonly change: Operation[];
  readonly generation: Operation[];
  /** By an id that stays while the thing stays unreachable. */
  readonly cleanUp: Map<string, Operation[]>;
  needsGeneration: boolean;
  changesInterval: boolean;
}

/** Keeps what is still to be looked at between plans; `programmed` is brought up to date by whoever performs the plan. */
export class Planner {
  readonly programmed: NftTable;
  readonly #limits: PlanLimits;
  readonly #touchedObjects = new Set<string>();
  readonly #touchedElements = new Map<string, Set<string>>();
  readonly #unreachableSince = new Map<string, number>();
  #redivided: ReadonlySet<string> = UNDIVIDED.maps;
  /** By the number of the class that they are parts of. */
  #parts: ReadonlyMap<number, readonly number[]> = new Map();
  /** What the plan at hand makes unreachable: its second begins with the commit. */
  #newlyUnreachable: readonly string[] = [];

  constructor(programmed: NftTable, limits: PlanLimits = DEFAULT_LIMITS) {
    this.programmed = programmed;
    this.#limits = limits;
  }

  note(touched: Touched): void {
    for (const name of touched.objects) this.#touchedObjects.add(name);
    for (const [set, keys] of touched.elements) {
      const noted = this.#touchedElements.get(set);
      if (noted === undefined) this.#touchedElements.set(set, new Set(keys));
      else for (const key of keys) noted.add(key);
    }
  }

  /** How what is desired from now on divides the address space, compared with what is programmed. */
  redivide({ maps, partOf }: Redivision): void {
    this.#redivided = maps;
    this.#parts = Map.groupBy(partOf.keys(), (part) => partOf.get(part) ?? 0);
  }

  /**
   * `nowMs` is a monotonic clock's reading. `changesSurroundings` is what the plan before said, if the generation has been moved since:
   * all chains that know its number are others then.
   */
  plan(desired: NftTable, nowMs: number, changesSurroundings?: boolean): Plan {
    const draft: Draft = {
      prepare: [],
      redivide: [],
      change: [],
      generation: [],
      cleanUp: new Map(),
      needsGeneration: false,
      changesInterval: false,
    };
    for (const name of this.#touchedObjects) this.#planObject(desired, name, draft);
    for (const [name, keys] of this.#touchedElements) this.#planElements(desired, name, keys, draft);
    const due = this.#dueCleanUp(draft, nowMs);
    const isTogether = changesSurroundings ?? draft.generation.length > 0;
    return {
      transactions: this.#transactions(draft, due.operations, isTogether),
      needsGeneration: draft.needsGeneration,
      changesSurroundings: isTogether,
      replaceBecause: this.#replaceBecause(draft, isTogether),
      cleanUpInMs: due.nextInMs,
    };
  }

  /** Called when a whole plan was performed, with the time of then: only what waits for its clean-up is looked at again. */
  performed(nowMs: number): void {
    for (const id of this.#newlyUnreachable) this.#unreachableSince.set(id, nowMs);
    this.#newlyUnreachable = [];
    const waiting = [...this.#unreachableSince.keys()];
    this.#touchedObjects.clear();
    this.#touchedElements.clear();
    for (const id of waiting) {
      const [name = '', key] = id.split('\n');
      if (key === undefined) this.#touchedObjects.add(name);
      else {
        const keys = this.#touchedElements.get(name) ?? new Set();
        this.#touchedElements.set(name, keys.add(key));
      }
    }
  }

  #planObject(desired: NftTable, name: string, draft: Draft): void {
    const chain = desired.chains.get(name);
    const programmedChain = this.programmed.chains.get(name);
    if (chain !== undefined) planChain(chain, programmedChain, draft);
    else if (programmedChain !== undefined) planChainAway(programmedChain, draft);
    const set = desired.sets.get(name);
    const programmedSet = this.programmed.sets.get(name);
    if (set !== undefined && programmedSet === undefined) {
      draft.prepare.push({ type: 'defineSet', set });
      for (const [key, element] of set.elements) {
        const operation = { type: 'addElement', set, key, element } as const;
        if (isOtherCopy(set, desired)) draft.cleanUp.set(`${name}\n${key}`, [operation]);
        else draft.prepare.push(operation);
      }
    } else if (set !== undefined && programmedSet !== undefined) {
      this.#planOldElements(desired, set, programmedSet, draft);
    } else if (set === undefined && programmedSet !== undefined) {
      this.#planPartsOf(programmedSet, draft);
      draft.cleanUp.set(name, [{ type: 'deleteObject', kind: programmedSet.kind, name }]);
    }
  }

  /** What goes with this change is asked until then, of addresses that are redivided ahead of it. */
  #planPartsOf(programmed: NftSet, draft: Draft): void {
    const { isKeyed, elements, name } = programmed;
    if (!isKeyed || this.#parts.size === 0 || this.#unreachableSince.has(name)) return;
    for (const [key, element] of elements) {
      const number = keyNumber(key);
      for (const part of this.#parts.get(number) ?? []) {
        const partKey = `${part}${key.slice(String(number).length)}`;
        if (!elements.has(partKey))
          draft.prepare.push({ type: 'addElement', set: programmed, key: partKey, element });
      }
    }
  }

  /** A set that was to go and is wanted again within its second: what it held then was never touched. */
  #planOldElements(desired: NftTable, set: NftSet, programmed: NftSet, draft: Draft): void {
    const touched = this.#touchedElements.get(set.name);
    for (const key of programmed.elements.keys()) {
      const isOld = !set.elements.has(key) && touched?.has(key) !== true;
      if (isOld) this.#planElement(desired, set, programmed, key, draft);
    }
  }

  #planElements(desired: NftTable, name: string, keys: ReadonlySet<string>, draft: Draft): void {
    const set = desired.sets.get(name);
    const programmed = this.programmed.sets.get(name);
    // New sets are made with all they hold; sets that go take it with them.
    if (set === undefined || programmed === undefined) return;
    for (const key of keys) this.#planElement(desired, set, programmed, key, draft);
  }

  #planElement(desired: NftTable, set: NftSet, programmed: NftSet, key: string, draft: Draft): void {
    const wanted = set.elements.get(key);
    const there = programmed.elements.get(key);
    if (wanted?.value === there?.value) return;
    const operations: Operation[] = [];
    if (there !== undefined) operations.push({ type: 'deleteElement', set, key });
    if (wanted !== undefined) operations.push({ type: 'addElement', set, key, element: wanted });
    const isGoing = wanted === undefined && !isReachable(set, key, desired);
    if (isGoing || isOtherCopy(set, desired)) draft.cleanUp.set(`${set.name}\n${key}`, operations);
    else if (isReachable(set, key, this.programmed)) this.#change(set, key, operations, desired, draft);
    else draft.prepare.push(...operations);
  }

  #change(set: NftSet, key: string, operations: readonly Operation[], desired: NftTable, draft: Draft): void {
    if (this.#redivided.has(set.name)) {
      draft.redivide.push(...operations);
      return;
    }
    draft.change.push(...operations);
    if (set.role === 'plain') return;
    if (set.isInterval) draft.changesInterval = true;
    const onlyAdds = operations.every((operation) => operation.type === 'addElement');
    if (!onlyAdds || restricts(set, key, desired)) draft.needsGeneration = true;
  }

  #dueCleanUp(draft: Draft, nowMs: number): { operations: Operation[]; nextInMs: number | undefined } {
    for (const id of this.#unreachableSince.keys())
      if (!draft.cleanUp.has(id)) this.#unreachableSince.delete(id);
    const operations: Operation[] = [];
    const newlyUnreachable: string[] = [];
    let nextInMs: number | undefined;
    for (const [id, deletions] of draft.cleanUp) {
      const since = this.#unreachableSince.get(id);
      if (since === undefined) newlyUnreachable.push(id);
      const leftMs = (since ?? nowMs) + UNREACHABLE_MS - nowMs;
      if (leftMs <= 0) operations.push(...deletions);
      else nextInMs = Math.min(nextInMs ?? leftMs, leftMs);
    }
    this.#newlyUnreachable = newlyUnreachable;
    return { operations, nextInMs };
  }

  #replaceBecause(draft: Draft, isTogether: boolean): string | undefined {
    if (Math.max(draft.change.length, draft.redivide.length) > this.#limits.operationsPerTransaction)
      return 'change too large for one transaction';
    return isTogether && draft.change.length > 0 && !this.#mayMerge(draft)
      ? 'groups, host endpoints or settings change together with networks'
      : undefined;
  }

  #mayMerge({ change, generation, changesInterval }: Draft): boolean {
    return !changesInterval && change.length + generation.length <= this.#limits.operationsPerTransaction;
  }

  #transactions(
    draft: Draft,
    cleanUp: readonly Operation[],
    isTogether: boolean,
  ): readonly PlannedTransaction[] {
    const limit = this.#limits.operationsPerTransaction;
    const transactions: PlannedTransaction[] = [];
    const add = (operations: readonly Operation[], isIndivisible: boolean, ...phases: Phase[]): void => {
      if (operations.length > 0) transactions.push({ phases, isIndivisible, operations });
    };
    const { prepare, redivide, change, generation } = draft;
    for (const operations of splitPreparation(prepare, limit)) add(operations, false, 'prepare');
    add(inOrder(redivide), false, 'redivide');
    if (this.#mayMerge(draft) && change.length > 0 && generation.length > 0) {
      add(inOrder([...change, ...generation]), isTogether, 'change', 'generation');
    } else {
      add(inOrder(change), false, 'change');
      add(inOrder(generation), false, 'generation');
    }
    for (const operations of splitCleanUp(cleanUp, limit)) add(operations, false, 'cleanUp');
    return transactions;
  }
}

function planChain(chain: NftChain, programmed: NftChain | undefined, draft: Draft): void {
  if (programmed !== undefined && isSame(chain.rules, programmed.rules)) return;
  const isNew = programmed === undefined;
  const operations: Operation[] = [
    // A base chain that is there already is left as it is by this.
    ...(isNew || chain.role === 'base' ? [{ type: 'defineChain', chain } as const] : []),
    { type: 'setRules', chain, isNew: isNew && chain.role !== 'base' },
  ];
  if (chain.role === 'base' || chain.role === 'generation') {
    draft.generation.push(...operations);
    // Flows of its generation were judged by other rules: they are to be judged anew.
    if (chain.role === 'generation' && !isNew) draft.needsGeneration = true;
  } else if (isNew) {
    draft.prepare.push(...operations);
  } else {
    draft.change.push(...operations);
    draft.needsGeneration = true;
  }
}

/** A deleted base chain goes on judging for a moment, its maps already empty: they are emptied, never deleted. */
function planChainAway(chain: NftChain, draft: Draft): void {
  const { name } = chain;
  if (chain.role === 'base') {
    const emptied: NftChain = { ...chain, rules: [] };
    // Made where somebody has taken it away meanwhile: what is not there cannot be emptied.
    const operations: Operation[] = [
      { type: 'defineChain', chain: emptied },
      { type: 'setRules', chain: emptied, isNew: false },
    ];
    if (chain.rules.length > 0) draft.generation.push(...operations);
    return;
  }
  draft.cleanUp.set(name, [
    { type: 'emptyChain', name },
    { type: 'deleteObject', kind: 'chain', name },
  ]);
}

/** Packets under way may ask it for a second; then it follows. */
function isOtherCopy(set: NftSet, desired: NftTable): boolean {
  return set.dispatch !== undefined && !desired.isDispatching(set);
}

/** Whether a packet can come to this key with the table as it is. */
function isReachable(set: NftSet, key: string, table: NftTable): boolean {
  if (set.dispatch !== undefined) return table.isDispatching(set);
  // An id is there before any rule gives it.
  if (set.role === 'ids') return false;
  if (set.role === 'group') return table.isGroupLive(set.name, key);
  if (set.role === 'lookup' && set.isKeyed) return table.isNumberLive(keyNumber(key));
  return true;
}

/** Whether a new key may turn a live flow's verdict: a key that can deny or pass, an address that such a key names. */
function restricts(set: NftSet, key: string, desired: NftTable): boolean {
  if (set.role === 'lookup') return !set.onlyAllows;
  // A flow to an address that was nobody's here was judged without the policy of who has it now.
  if (set.role === 'own') return true;
  if (set.role !== 'address') return false;
  const number = set.elements.get(key)?.value;
  return set.isInterval || (number !== undefined && desired.isNumberRestricted(Number(number)));
}

function splitCleanUp(operations: readonly Operation[], limit: number): readonly (readonly Operation[])[] {
  const ordered = [...operations].sort((a, b) => cleanUpRank(a) - cleanUpRank(b));
  const result: (readonly Operation[])[] = [];
  for (let start = 0; start < ordered.length; start += limit)
    result.push(ordered.slice(start, start + limit));
  return result;
}

/** Elements first (they hold chains), then rules (they hold chains and sets), then chains, then sets. */
function cleanUpRank(operation: Operation): number {
  if (operation.type === 'deleteElement') return 0;
  if (operation.type === 'addElement') return 1;
  if (operation.type === 'emptyChain') return 2;
  return operation.type === 'deleteObject' && operation.kind === 'chain' ? 3 : 4;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((rule, index) => rule === b[index]);
}
