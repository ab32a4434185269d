// What others' tables do to our traffic (nft's JSON of the whole ruleset): a forward chain that drops by policy takes what our accept
// let pass, as accept is final for its own chain only; a rule that sets ct marks can hit the current generation, which is a pass;
// one that sets packet marks loses them where the packet mark is our scratch.

import { field } from './listing.ts';

/** A chain of another table. */
export interface ForeignChain {
  /** As nft writes it: `ip filter`. */
  readonly table: string;
  readonly name: string;
}

export type InterfaceSide = 'iifname' | 'oifname';

/** All that comes from workloads (`iifname`) or goes to them (`oifname`), of one prefix of their interfaces' names. */
export interface WorkloadSide {
  readonly side: InterfaceSide;
  readonly prefix: string;
}

/** A base chain that forwards and drops by policy. */
export interface DroppingChain extends ForeignChain {
  /** Docker leaves `DOCKER-USER` to the user: a packet comes by it before Docker's own rules. */
  readonly hasUserChain: boolean;
  /** What no rule that a packet comes by accepts, rules of ours aside. */
  readonly unaccepted: readonly WorkloadSide[];
}

/** A rule that we have put into another table, known by its comment. */
export interface OwnAccept extends ForeignChain, WorkloadSide {
  readonly handle: number;
}

export interface ForeignRules {
  readonly droppingChains: readonly DroppingChain[];
  readonly ownAccepts: readonly OwnAccept[];
  /** `table chain` → handle of a rule at the end of the chain that ends it for every packet. */
  readonly endings: ReadonlyMap<string, number>;
  /** Chains with a rule that sets the ct mark. */
  readonly ctMarkChains: readonly string[];
  /** Chains with a rule that sets the packet mark. */
  readonly packetMarkChains: readonly string[];
}

export const NO_FOREIGN_RULES: ForeignRules = {
  droppingChains: [],
  ownAccepts: [],
  endings: new Map(),
  ctMarkChains: [],
  packetMarkChains: [],
};

/** Comment of every rule that we put into another table. */
export const OWN_COMMENT = 'calico-ts: workloads are policed in table inet calico';
export const DOCKER_USER = 'DOCKER-USER';
const OUR_TABLE = 'inet calico';
const FORWARDING_FAMILIES = new Set(['ip', 'ip6', 'inet']);
const SIDES: readonly InterfaceSide[] = ['iifname', 'oifname'];
/** Verdicts after which a chain's further rules are not met. */
const FINAL = ['return', 'accept', 'drop', 'goto'] as const;

interface ForeignRule {
  readonly handle: number;
  readonly expressions: readonly unknown[];
  readonly isOurs: boolean;
}

interface ReadChain extends ForeignChain {
  readonly isDropping: boolean;
  readonly rules: ForeignRule[];
}

/** `prefixes` are those of workload interfaces: `cali`. */
export function foreignRules(json: unknown, prefixes: readonly string[]): ForeignRules {
  const chains = readChains(json);
  const wanted = prefixes.flatMap((prefix) => SIDES.map((side): WorkloadSide => ({ side, prefix })));
  const all = [...chains.values()];
  return {
    droppingChains: all
      .filter(({ isDropping }) => isDropping)
      .map(({ table, name }) => {
        const met = chainsMet(chains, table, name);
        const unaccepted = wanted.filter((each) => !met.some((chain) => isAccepted(chain, each)));
        return { table, name, hasUserChain: met.some((chain) => chain.name === DOCKER_USER), unaccepted };
      }),
    ownAccepts: all.flatMap(({ table, name, rules }) =>
      rules.flatMap(({ isOurs, handle, expressions }) => {
        const accepted = isOurs ? acceptedSide(expressions) : undefined;
        return accepted === undefined ? [] : [{ table, name, handle, ...accepted }];
      }),
    ),
    endings: new Map(
      all.flatMap(({ table, name, rules }) => {
        const last = rules.at(-1);
        return last !== undefined && endsChain(last) ? [[`${table} ${name}`, last.handle]] : [];
      }),
    ),
    ctMarkChains: namesOfChains(all, setsCtMark),
    packetMarkChains: namesOfChains(all, setsPacketMark),
  };
}

/** The version in nft's JSON; undefined if it names none. */
export function nftVersion(json: unknown): string | undefined {
  const version = listOf(json, 'nftables')
    .map((entry) => field(field(entry, 'metainfo'), 'version'))
    .find((text) => typeof text === 'string');
  return typeof version === 'string' ? version : undefined;
}

/** By `table chain`. */
function readChains(json: unknown): ReadonlyMap<string, ReadChain> {
  const chains = new Map<string, ReadChain>();
  for (const entry of listOf(json, 'nftables')) {
    const [chain, rule] = [field(entry, 'chain'), field(entry, 'rule')];
    const table = tableOf(chain ?? rule);
    const name = String(field(chain, 'name') ?? field(rule, 'chain'));
    if ((chain ?? rule) === undefined || table === OUR_TABLE) continue;
    const key = `${table} ${name}`;
    const known = chains.get(key) ?? { table, name, isDropping: isDroppingForward(chain), rules: [] };
    chains.set(key, known);
    if (rule === undefined) continue;
    known.rules.push({
      handle: Number(field(rule, 'handle')),
      expressions: listOf(rule, 'expr'),
      isOurs: field(rule, 'comment') === OWN_COMMENT,
    });
  }
  return chains;
}

/** The chain, and those that its rules lead to. */
function chainsMet(
  chains: ReadonlyMap<string, ReadChain>,
  table: string,
  name: string,
): readonly ReadChain[] {
  const met = new Map<string, ReadChain>();
  const follow = (next: string): void => {
    const chain = chains.get(`${table} ${next}`);
    if (chain === undefined || met.has(next)) return;
    met.set(next, chain);
    for (const rule of rulesMet(chain)) for (const target of targetsOf(rule)) follow(target);
  };
  follow(name);
  return [...met.values()];
}

/** Up to the first that ends the chain for every packet. */
function rulesMet({ rules }: ReadChain): readonly ForeignRule[] {
  const end = rules.findIndex(endsChain);
  return end < 0 ? rules : rules.slice(0, end + 1);
}

function endsChain({ expressions }: ForeignRule): boolean {
  const others = expressions.filter((expression) => field(expression, 'counter') === undefined);
  const [only] = others;
  return others.length === 1 && FINAL.some((verdict) => field(only, verdict) !== undefined);
}

/** Where a rule without conditions leads every packet. */
function targetsOf({ expressions }: ForeignRule): readonly string[] {
  const [only, ...others] = expressions.filter((expression) => !isWithoutCondition(expression));
  const target = field(field(only, 'jump') ?? field(only, 'goto'), 'target');
  return typeof target === 'string' && others.length === 0 ? [target] : [];
}

function isAccepted(chain: ReadChain, { side, prefix }: WorkloadSide): boolean {
  return rulesMet(chain).some(({ isOurs, expressions }) => {
    const accepted = isOurs ? undefined : acceptedSide(expressions);
    return accepted?.side === side && accepted.prefix === prefix;
  });
}

/** A rule that accepts everything of the interfaces of one prefix on one side, and looks at nothing else. */
function acceptedSide(expressions: readonly unknown[]): WorkloadSide | undefined {
  const others = expressions.filter((expression) => !isWithoutCondition(expression));
  const match = field(others[0], 'match');
  const right = field(match, 'right');
  const side = field(field(field(match, 'left'), 'meta'), 'key');
  const isAccept = expressions.some((expression) => field(expression, 'accept') === null);
  if (!isAccept || others.length !== 1 || field(match, 'op') !== '==') return undefined;
  if (typeof right !== 'string' || !right.endsWith('*')) return undefined;
  return side === 'iifname' || side === 'oifname' ? { side, prefix: right.slice(0, -1) } : undefined;
}

/** iptables' comment is a match of its own, of which nft tells the name alone; so is its state, which is a condition. */
function isWithoutCondition(expression: unknown): boolean {
  return (
    field(expression, 'counter') !== undefined ||
    field(expression, 'accept') === null ||
    field(field(expression, 'xt'), 'name') === 'comment'
  );
}

function isDroppingForward(chain: unknown): boolean {
  return (
    field(chain, 'hook') === 'forward' &&
    field(chain, 'policy') === 'drop' &&
    FORWARDING_FAMILIES.has(String(field(chain, 'family')))
  );
}

/** `ct mark set …`; iptables' CONNMARK is a foreign expression. */
function setsCtMark(expression: unknown): boolean {
  const target = field(field(field(expression, 'mangle'), 'key'), 'ct');
  return field(target, 'key') === 'mark' || field(field(expression, 'xt'), 'name') === 'CONNMARK';
}

function setsPacketMark(expression: unknown): boolean {
  const target = field(field(field(expression, 'mangle'), 'key'), 'meta');
  return field(target, 'key') === 'mark' || field(field(expression, 'xt'), 'name') === 'MARK';
}

function namesOfChains(
  chains: readonly ReadChain[],
  isSought: (expression: unknown) => boolean,
): readonly string[] {
  return chains
    .filter(({ rules }) => rules.some(({ expressions }) => expressions.some(isSought)))
    .map(({ table, name }) => `${table} ${name}`);
}

function tableOf(object: unknown): string {
  return `${String(field(object, 'family'))} ${String(field(object, 'table'))}`;
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = field(value, name);
  return Array.isArray(list) ? list : [];
}
