// Where each rule of a policy was written: file and line, recorded when `calicoctl` stored it (docs/policy.md "File and line").
// The record lies beside the object, never in it, and names each rule by a hash: whoever changes the policy by other means
// leaves a record that no longer fits, and a rule that does not fit resolves to nothing rather than to a stale line.

import { createHash } from 'node:crypto';
import type { Resource } from '../model/metadata.ts';
import type { Rule } from '../model/policy-types.ts';
import type { Direction } from './compiled.ts';

export interface RulePlace {
  /** As it was named to calicoctl; `-` for standard input. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface SourcedRule extends RulePlace {
  /** Of the rule as it was stored. */
  readonly hash: string;
}

/** What is recorded for one policy or profile. */
export interface SourceRecord {
  /** Of the object: another one of the same name has another. */
  readonly uid: string;
  readonly ingress: readonly SourcedRule[];
  readonly egress: readonly SourcedRule[];
}

/** Kinds whose rules are recorded. Rules of StagedKubernetesNetworkPolicies are converted, and so have other numbers. */
const SOURCED_KINDS: ReadonlySet<string> = new Set([
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'Profile',
]);
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];
const STDIN = '-';

export function hasSources(kind: string): boolean {
  return SOURCED_KINDS.has(kind);
}

/** The place of a field path (`spec.ingress[0]`) in the file. */
export type PlaceOf = (path: string) => RulePlace;

/**
 * The record of an object as it was stored. What comes from standard input (`get -o yaml | apply -f -`) names no file: a rule
 * that the record before knew keeps its place.
 */
export function recordSources(
  stored: Resource,
  placeOf: PlaceOf,
  before: SourceRecord | undefined,
): SourceRecord {
  const uid = stored.metadata.uid ?? '';
  const [ingress = [], egress = []] = DIRECTIONS.map((direction) =>
    rulesOf(stored, direction).map((rule, index): SourcedRule => {
      const hash = ruleHash(rule);
      const place = placeOf(`spec.${direction}[${index}]`);
      const known =
        place.file === STDIN && before?.uid === uid ? find(before[direction], hash, index) : undefined;
      return { ...(known ?? place), hash };
    }),
  );
  return { uid, ingress, egress };
}

/** Where a rule of the object as it is now was written; undefined if nobody knows. `index` counts from 0. */
export function ruleSource(
  resource: Resource,
  record: SourceRecord | undefined,
  direction: Direction,
  index: number,
): RulePlace | undefined {
  const rule = rulesOf(resource, direction)[index];
  if (rule === undefined || record === undefined || record.uid !== resource.metadata.uid) return undefined;
  const found = find(record[direction], ruleHash(rule), index);
  return found === undefined ? undefined : { file: found.file, line: found.line };
}

/** The rule at its place, or where there is only one such rule, wherever it has moved to. */
function find(rules: readonly SourcedRule[], hash: string, index: number): SourcedRule | undefined {
  if (rules[index]?.hash === hash) return rules[index];
  const [only, ...more] = rules.filter((rule) => rule.hash === hash);
  return more.length === 0 ? only : undefined;
}

function rulesOf(resource: Resource, direction: Direction): readonly Rule[] {
  const rules = (resource.spec as Partial<Record<Direction, unknown>> | undefined)?.[direction];
  return Array.isArray(rules) ? rules : [];
}

/** Whoever writes an object may order its fields otherwise. */
function ruleHash(rule: Rule): string {
  return createHash('sha256').update(canonicalJson(rule)).digest('base64url').slice(0, 22);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.join(',')}}`;
}
