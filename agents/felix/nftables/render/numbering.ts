// Numbers of one epoch (docs/dataplane.md "Numbers"): rule ids, groups, identities, CIDR classes, object names. Counted up,
// never given out twice within the epoch; a meaning that is gone and comes back gets a new number.

import { hash } from 'node:crypto';
import type { RuleRef } from '../../../../lib/policy/compiled.ts';
import { Mark, Scratch } from './scratch.ts';

/** Reasons for a verdict that no rule of a policy gives; ids below 16. The last two allow. */
export const BuiltInReason = {
  tunnelFromWorkload: 1,
  profileMissing: 2,
  unknownInterface: 3,
  noVerdict: 4,
  workloadToHost: 5,
  bgpFromWorkload: 6,
  spoofedSource: 7,
  noProfileMatched: 8,
  workloadNotReady: 9,
  spoofedFromOutside: 10,
  icmpErrorUnjudged: 11,
  invalidPacket: 14,
  failsafePort: 12,
  noForwardPolicy: 13,
} as const;
export type BuiltInReasonName = keyof typeof BuiltInReason;
/** Those of them that allow. */
const ALLOWING_REASONS: readonly number[] = [BuiltInReason.failsafePort, BuiltInReason.noForwardPolicy];

/** What a rule id stands for. */
export type RuleMeaning =
  | { readonly type: 'rule'; readonly ref: RuleRef; readonly action: string }
  | {
      readonly type: 'endOfTier';
      readonly tier: string;
      readonly direction: string;
      /** Key of the last policy of the tier there: with it the tier denies at its end. */
      readonly policy?: string;
    }
  | { readonly type: 'builtIn'; readonly reason: BuiltInReasonName };

/** The same in every epoch. */
export const BUILT_IN_MEANINGS: ReadonlyMap<number, RuleMeaning> = new Map(
  Object.entries(BuiltInReason).map(([reason, id]) => [
    id,
    { type: 'builtIn', reason: reason as BuiltInReasonName },
  ]),
);

const FIRST_RULE_ID = 16;
const FIRST_CLASS = 0x100000;
/** Bits 18 and 19 stay clear in every number, so that a number left in the mark is never a verdict. */
const NUMBERS_PER_SPACE = 0x3ffff;

/** Thrown when a number space is used up: the caller moves to a new epoch. */
export class NumbersExhausted extends Error {
  override readonly name = 'NumbersExhausted';
  readonly space: string;

  constructor(space: string) {
    super(`all numbers for ${space} of this epoch are used`);
    this.space = space;
  }
}

class Space {
  readonly #byMeaning = new Map<string, number>();
  readonly #name: string;
  readonly #limit: number;
  #next: number;

  constructor(name: string, first: number, limit: number) {
    this.#name = name;
    this.#next = first;
    this.#limit = limit;
  }

  numberOf(meaning: string): number {
    const known = this.#byMeaning.get(meaning);
    if (known !== undefined) return known;
    if (this.#next >= this.#limit) throw new NumbersExhausted(this.#name);
    const made = this.#next++;
    this.#byMeaning.set(meaning, made);
    return made;
  }

  forget(meaning: string): void {
    this.#byMeaning.delete(meaning);
  }
}

export class Numbering {
  readonly epoch: number;
  /** What packets carry the numbers in. */
  readonly scratch: Scratch;
  /** Distinct lists of identities that one address carries. */
  readonly identities: Space;
  /** Distinct sets of networks and identities that an interval carries. */
  readonly classes: Space;
  readonly groups: Space;
  readonly #lookups: Space;
  readonly #meaningOfLookup = new Map<string, string>();
  readonly #rules: Space;
  readonly #meanings = new Map<number, RuleMeaning>(BUILT_IN_MEANINGS);
  #newRules: [number, RuleMeaning][] = [];
  #newAllowing: number[] = ALLOWING_REASONS.map((id) => Mark.allow | id);

  /** `limit` is the size of each space; tests make it small. */
  constructor(epoch: number, limit: number = NUMBERS_PER_SPACE, scratch: Scratch = new Scratch('mark')) {
    this.epoch = epoch;
    this.scratch = scratch;
    this.identities = new Space('identities', 1, limit);
    this.classes = new Space('CIDR classes', FIRST_CLASS, FIRST_CLASS + limit);
    this.groups = new Space('groups', 1, limit);
    this.#lookups = new Space('lookups', 1, Number.MAX_SAFE_INTEGER);
    this.#rules = new Space('rules', FIRST_RULE_ID, limit);
  }

  /** `text` says the meaning in full, the rule's content included. */
  ruleId(text: string, meaning: RuleMeaning): number {
    // Texts of rules that were would otherwise stay for the whole epoch.
    const id = this.#rules.numberOf(hash('sha256', text, 'base64'));
    if (!this.#meanings.has(id)) {
      this.#meanings.set(id, meaning);
      this.#newRules.push([id, meaning]);
      if (meaning.type === 'rule' && meaning.action === 'allow') this.#newAllowing.push(Mark.allow | id);
    }
    return id;
  }

  /** Ids given out since the last call. */
  takeNewRules(): readonly (readonly [number, RuleMeaning])[] {
    const fresh = this.#newRules;
    this.#newRules = [];
    return fresh;
  }

  /** Ids with the allow bit that were given out since the last call; the first time those too that no rule of a policy has. */
  takeNewAllowing(): readonly number[] {
    const fresh = this.#newAllowing;
    this.#newAllowing = [];
    return fresh;
  }

  /** Meanings of every rule id given out in this epoch, whether still in use or not. */
  get ruleMeanings(): ReadonlyMap<number, RuleMeaning> {
    return this.#meanings;
  }

  /** The name of a set or map of a run; `meaning` tells it from every other. */
  lookupName(meaning: string): string {
    const name = this.name(`m${this.#lookups.numberOf(meaning)}`);
    this.#meaningOfLookup.set(name, meaning);
    return name;
  }

  forgetLookup(name: string): void {
    const meaning = this.#meaningOfLookup.get(name);
    if (meaning === undefined) return;
    this.#meaningOfLookup.delete(name);
    this.#lookups.forget(meaning);
  }

  /** The name of an object of this epoch. */
  name(base: string): string {
    return `${base}_${epochSuffix(this.epoch)}`;
  }
}

function epochSuffix(epoch: number): string {
  return `v${epoch}`;
}

/** The epoch that an object's name ends in; undefined for base chains and names that are not ours. */
export function epochOfName(name: string): number | undefined {
  const digits = /_v(\d+)$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
