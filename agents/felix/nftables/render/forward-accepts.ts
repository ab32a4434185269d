// The accepts that we put into others' forward chains that drop by policy (docs/dataplane.md "Other tables"): which are to be there,
// and how to get from those that are to them. Each is a rule of its own without further conditions, with a comment that says whose it
// is; nothing else of another table is ever touched.

import type { FelixSettings } from '../../calc/felix-settings.ts';
import {
  DOCKER_USER,
  type DroppingChain,
  type ForeignChain,
  type ForeignRules,
  OWN_COMMENT,
  type OwnAccept,
  type WorkloadSide,
} from './foreign-rules.ts';

export type AcceptSettings = Pick<FelixSettings, 'foreignAccepts' | 'insertsForeignAccepts'>;

/** One rule that comes or goes: one command of nft. */
export interface AcceptChange {
  readonly change: 'add' | 'remove';
  /** `ip filter DOCKER-USER`. */
  readonly chain: string;
  readonly text: string;
}

type Accept = ForeignChain & WorkloadSide;

/** What brings the accepts to what the settings say; nothing if they are so. */
export function acceptChanges(rules: ForeignRules, settings: AcceptSettings): readonly AcceptChange[] {
  const wanted = new Map(wantedAccepts(rules, settings).map((accept) => [keyOf(accept), accept]));
  const removed = rules.ownAccepts.filter((accept) => {
    const isFirst = rules.ownAccepts.find((other) => keyOf(other) === keyOf(accept)) === accept;
    return !isFirst || !wanted.has(keyOf(accept));
  });
  for (const accept of rules.ownAccepts) wanted.delete(keyOf(accept));
  return [
    ...[...wanted.values()].map((accept) => addition(accept, rules, settings)),
    ...removed.map(removal),
  ];
}

/** Takes away every accept of ours. */
export function acceptRemovals({ ownAccepts }: ForeignRules): readonly AcceptChange[] {
  return ownAccepts.map(removal);
}

/** Sentences: chains that drop what policy allows. */
export function droppingProblems({ droppingChains, ownAccepts }: ForeignRules): readonly string[] {
  const own = new Set(ownAccepts.map(keyOf));
  return droppingChains.flatMap((chain) => {
    const missing = chain.unaccepted.filter((side) => !own.has(keyOf({ ...placeOf(chain), ...side })));
    if (missing.length === 0) return [];
    const accepts = missing.map(({ side, prefix }) => `${side} "${prefix}*"`).join(' and ');
    const where = chain.hasUserChain ? `in ${DOCKER_USER}` : 'there';
    return `chain "${chain.table} ${chain.name}" drops what is forwarded, whatever policy allows: accept ${accepts} ${where}, each in a rule of its own, or let Felix do it with nftablesFilterAllowAction: Accept`;
  });
}

function wantedAccepts(
  { droppingChains }: ForeignRules,
  { foreignAccepts }: AcceptSettings,
): readonly Accept[] {
  return droppingChains.flatMap((chain) => {
    const isWanted = foreignAccepts === 'all' || (foreignAccepts === 'docker' && chain.hasUserChain);
    if (!isWanted || !isPlainName(chain)) return [];
    return chain.unaccepted.map((side) => ({ ...placeOf(chain), ...side }));
  });
}

function placeOf({ table, name, hasUserChain }: DroppingChain): ForeignChain {
  return { table, name: hasUserChain ? DOCKER_USER : name };
}

/** At the end means ahead of a rule that ends the chain for every packet: Docker's user chain has a return there. */
function addition(accept: Accept, { endings }: ForeignRules, settings: AcceptSettings): AcceptChange {
  const { table, name, side, prefix } = accept;
  const chain = `${table} ${name}`;
  const ending = endings.get(chain);
  const place = ending === undefined ? `add rule ${chain}` : `insert rule ${chain} handle ${ending}`;
  const start = settings.insertsForeignAccepts ? `insert rule ${chain}` : place;
  // iptables takes a rule for its own only with a counter.
  return {
    change: 'add',
    chain,
    text: `${start} ${side} "${prefix}*" counter accept comment "${OWN_COMMENT}"`,
  };
}

function removal({ table, name, handle }: OwnAccept): AcceptChange {
  const chain = `${table} ${name}`;
  return { change: 'remove', chain, text: `delete rule ${chain} handle ${handle}` };
}

function keyOf({ table, name, side, prefix }: Accept): string {
  return `${table} ${name} ${side} ${prefix}`;
}

/** A name that stands in a command as it is. */
function isPlainName({ table, name }: ForeignChain): boolean {
  return /^[a-z0-9]+ [\w./-]+$/.test(table) && /^[\w./-]+$/.test(name);
}
