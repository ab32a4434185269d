// What others' tables do to our traffic (nft's JSON of the whole ruleset): a forward chain that drops by policy takes what our accept
// let pass, as accept is final for its own chain only; a rule that sets ct marks can hit the current generation, which is a pass.

import { field } from './listing.ts';

export interface ForeignRules {
  /** `ip filter FORWARD`: base chains with policy drop that accept neither what comes from workloads nor what goes to them. */
  readonly droppingForwardChains: readonly string[];
  /** Chains of other tables with a rule that sets the ct mark. */
  readonly ctMarkChains: readonly string[];
}

const OUR_TABLE = 'inet calico';
const FORWARDING_FAMILIES = new Set(['ip', 'ip6', 'inet']);

/** `interfacePrefix` is that of workload interfaces: `cali`. */
export function foreignRules(json: unknown, interfacePrefix: string): ForeignRules {
  const dropping: { readonly chain: string; readonly table: string }[] = [];
  const ctMarkChains = new Set<string>();
  /** `table iifname`, `table oifname`: that table accepts all of it. */
  const accepted = new Set<string>();
  for (const entry of entriesOf(json)) {
    const [chain, rule] = [field(entry, 'chain'), field(entry, 'rule')];
    const table = tableOf(chain ?? rule);
    if (table === OUR_TABLE) continue;
    if (isDroppingForward(chain)) dropping.push({ chain: `${table} ${String(field(chain, 'name'))}`, table });
    const expressions = entriesOfRule(rule);
    if (expressions.some(setsCtMark)) ctMarkChains.add(`${table} ${String(field(rule, 'chain'))}`);
    const accepts = acceptedSide(expressions, interfacePrefix);
    if (accepts !== undefined) accepted.add(`${table} ${accepts}`);
  }
  const isOpen = (table: string): boolean =>
    accepted.has(`${table} iifname`) && accepted.has(`${table} oifname`);
  return {
    droppingForwardChains: dropping.filter(({ table }) => !isOpen(table)).map(({ chain }) => chain),
    ctMarkChains: [...ctMarkChains],
  };
}

/** The version in nft's JSON; undefined if it names none. */
export function nftVersion(json: unknown): string | undefined {
  const version = entriesOf(json)
    .map((entry) => field(field(entry, 'metainfo'), 'version'))
    .find((text) => typeof text === 'string');
  return typeof version === 'string' ? version : undefined;
}

function isDroppingForward(chain: unknown): boolean {
  return (
    field(chain, 'hook') === 'forward' &&
    field(chain, 'policy') === 'drop' &&
    FORWARDING_FAMILIES.has(String(field(chain, 'family')))
  );
}

/** `ct mark set …`; iptables' CONNMARK is a foreign expression of which nft tells the name alone. */
function setsCtMark(expression: unknown): boolean {
  const target = field(field(expression, 'mangle'), 'key');
  return (
    field(field(target, 'ct'), 'key') === 'mark' || field(field(expression, 'xt'), 'name') === 'CONNMARK'
  );
}

/** A rule that accepts everything of workload interfaces on one side, and looks at nothing else. */
function acceptedSide(expressions: readonly unknown[], prefix: string): 'iifname' | 'oifname' | undefined {
  const matches = expressions.flatMap((expression) => field(expression, 'match') ?? []);
  const isAccept = expressions.some((expression) => field(expression, 'accept') === null);
  const [match] = matches;
  if (!isAccept || matches.length !== 1 || field(match, 'op') !== '==') return undefined;
  if (field(match, 'right') !== `${prefix}*`) return undefined;
  const key = field(field(field(match, 'left'), 'meta'), 'key');
  return key === 'iifname' || key === 'oifname' ? key : undefined;
}

function tableOf(object: unknown): string {
  return `${String(field(object, 'family'))} ${String(field(object, 'table'))}`;
}

function entriesOf(json: unknown): readonly unknown[] {
  const entries = field(json, 'nftables');
  return Array.isArray(entries) ? entries : [];
}

function entriesOfRule(rule: unknown): readonly unknown[] {
  const expressions = field(rule, 'expr');
  return Array.isArray(expressions) ? expressions : [];
}
