// What others' chains and rules do to traffic of workloads, read by messages of our own (linux/netfilter/nf_tables.h), in the form of
// nft's JSON. libnftables would read every element of every set, ours too, and put every rule into words.

import { eachAttribute, findAttribute, type NetlinkMessage, textOf } from './message.ts';
import {
  CHAIN,
  DATA,
  NFGENMSG_BYTES,
  NftMessage,
  RULE,
  TABLE_ATTRIBUTE,
  VERDICT,
} from './nftables-protocol.ts';
import type { NetlinkSocket } from './socket.ts';

const FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  3: 'arp',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};
const HOOK_NUMBER = 1;
const FORWARD_HOOK = 2;
const DROP_POLICY = 0;
/** Of an expression: its name, and what it is given. */
const EXPRESSION = { name: 1, data: 2 } as const;
const META = { target: 1, key: 2, source: 3 } as const;
const META_KEY: Readonly<Record<number, 'iifname' | 'oifname' | 'mark'>> = {
  3: 'mark',
  6: 'iifname',
  7: 'oifname',
};
const COMPARE = { source: 1, operation: 2, data: 3 } as const;
const EQUAL = 0;
const IMMEDIATE = { data: 2 } as const;
const CT = { key: 2, source: 4 } as const;
const CT_MARK = 3;
const XT_NAME = 1;
/** In a rule's user data: type, length, text. */
const COMMENT = 0;
const MOST_ATTEMPTS = 3;

type Json = Readonly<Record<string, unknown>>;
interface Place {
  readonly family: string;
  readonly table: string;
}
export interface RulesetQuery {
  /** Name of the `inet` table that is left out. */
  readonly except: string;
  /** Comment of rules that are wanted whatever they say. */
  readonly comment: string;
}

/**
 * As `nft -j list ruleset`, but of rules with conditions only what they do to marks, and the last of each chain: what else they say
 * decides nothing for every packet. A condition is `{ other: … }` where it is no comparison of an interface's name.
 */
export function dumpRuleset(
  socket: NetlinkSocket,
  query: RulesetQuery,
): { readonly nftables: readonly Json[] } {
  for (let attempt = 1; ; attempt++) {
    const entries: Json[] = [];
    let isWhole = true;
    const dump = (type: number, take: (message: NetlinkMessage) => void): void => {
      if (!socket.dump({ type, flags: 0, body: Buffer.alloc(NFGENMSG_BYTES) }, take)) isWhole = false;
    };
    dump(NftMessage.getChain, (message) => {
      const chain = decodeChain(message, query);
      if (chain !== undefined) entries.push({ chain });
    });
    const rules = new RuleFilter(query);
    dump(NftMessage.getRule, (message) => rules.take(message));
    entries.push(...rules.end());
    // Where it never stands still, the next look finds what this one has mistaken.
    if (isWhole || attempt === MOST_ATTEMPTS) return { nftables: entries };
  }
}

function decodeChain({ type, body }: NetlinkMessage, query: RulesetQuery): Json | undefined {
  if (type !== NftMessage.newChain) return undefined;
  const attributes = body.subarray(NFGENMSG_BYTES);
  const place = placeOf(body, attributes, query);
  if (place === undefined) return undefined;
  const hook = findAttribute(attributes, CHAIN.hook);
  const number = hook === undefined ? undefined : number32(findAttribute(hook, HOOK_NUMBER));
  const isDrop = number32(findAttribute(attributes, CHAIN.policy)) === DROP_POLICY;
  return {
    ...place,
    name: textIn(attributes, CHAIN.name),
    ...(number === FORWARD_HOOK ? { hook: 'forward', policy: isDrop ? 'drop' : 'accept' } : {}),
  };
}

/** Keeps the rules that matter, one by one: there may be tens of thousands. */
class RuleFilter {
  readonly #query: RulesetQuery;
  readonly #kept: Json[] = [];
  #last: { readonly chain: string; readonly rule: Json; readonly isKept: boolean } | undefined;

  constructor(query: RulesetQuery) {
    this.#query = query;
  }

  take({ type, body }: NetlinkMessage): void {
    if (type !== NftMessage.newRule) return;
    const attributes = body.subarray(NFGENMSG_BYTES);
    const place = placeOf(body, attributes, this.#query);
    if (place === undefined) return;
    const chain = textIn(attributes, RULE.chain);
    const expr = decodeExpressions(findAttribute(attributes, RULE.expressions));
    const comment = commentOf(findAttribute(attributes, RULE.userData));
    const isOurs = comment === this.#query.comment;
    const handle = Number(findAttribute(attributes, RULE.handle)?.readBigUInt64BE(0) ?? 0);
    const rule = { ...place, chain, handle, expr, ...(isOurs ? { comment } : {}) };
    const key = `${place.family} ${place.table} ${chain}`;
    if (this.#last !== undefined && this.#last.chain !== key) this.#keepLast();
    const isKept = isOurs || expr.every((each) => !('other' in each)) || expr.some(setsMark);
    if (isKept) this.#kept.push({ rule });
    this.#last = { chain: key, rule, isKept };
  }

  end(): readonly Json[] {
    this.#keepLast();
    return this.#kept;
  }

  #keepLast(): void {
    if (this.#last?.isKept === false) this.#kept.push({ rule: this.#last.rule });
    this.#last = undefined;
  }
}

function setsMark(expression: Json): boolean {
  return (
    'mangle' in expression ||
    ['MARK', 'CONNMARK'].includes(String((expression['xt'] as Json | undefined)?.['name']))
  );
}

/** A name of an interface that is loaded and compared is a match; what is loaded otherwise shows where it is used. */
function decodeExpressions(list: Buffer | undefined): readonly Json[] {
  const found: Json[] = [];
  let loaded: 'iifname' | 'oifname' | undefined;
  eachAttribute(list ?? Buffer.alloc(0), (_type, expression) => {
    const name = textIn(expression, EXPRESSION.name);
    const data = findAttribute(expression, EXPRESSION.data) ?? Buffer.alloc(0);
    const before = loaded;
    loaded = undefined;
    if (name === 'meta' && findAttribute(data, META.source) === undefined) {
      const key = META_KEY[number32(findAttribute(data, META.key)) ?? -1];
      if (key !== 'mark') loaded = key;
      return;
    }
    const decoded = name === 'cmp' ? decodeCompare(data, before) : decodeStatement(name, data);
    if (decoded !== undefined) found.push(decoded);
  });
  return found;
}

/** A name that is compared up to its zero is whole; a shorter one ends in a wildcard. */
function decodeCompare(data: Buffer, key: 'iifname' | 'oifname' | undefined): Json {
  const value = findAttribute(findAttribute(data, COMPARE.data) ?? Buffer.alloc(0), DATA.value);
  if (key === undefined || value === undefined) return { other: 'cmp' };
  const op = number32(findAttribute(data, COMPARE.operation)) === EQUAL ? '==' : '!=';
  const right = value.includes(0) ? textOf(value) : `${value.toString('utf8')}*`;
  return { match: { op, left: { meta: { key } }, right } };
}

function decodeStatement(name: string, data: Buffer): Json | undefined {
  switch (name) {
    case 'counter':
      return { counter: null };
    case 'immediate':
      return decodeImmediate(data);
    case 'meta':
      return META_KEY[number32(findAttribute(data, META.key)) ?? -1] === 'mark'
        ? { mangle: { key: { meta: { key: 'mark' } } } }
        : { other: name };
    case 'ct': {
      const isSet = findAttribute(data, CT.source) !== undefined;
      const isMark = number32(findAttribute(data, CT.key)) === CT_MARK;
      return isSet && isMark ? { mangle: { key: { ct: { key: 'mark' } } } } : { other: name };
    }
    case 'match':
    case 'target':
      return { xt: { type: name, name: textIn(data, XT_NAME) } };
    default:
      return { other: name };
  }
}

/** A verdict; a value that is only loaded is none. */
function decodeImmediate(data: Buffer): Json | undefined {
  const verdict = findAttribute(findAttribute(data, IMMEDIATE.data) ?? Buffer.alloc(0), DATA.verdict);
  if (verdict === undefined) return undefined;
  const target = textIn(verdict, VERDICT.chain);
  switch (findAttribute(verdict, VERDICT.code)?.readInt32BE(0)) {
    case 0:
      return { drop: null };
    case 1:
      return { accept: null };
    case -3:
      return { jump: { target } };
    case -4:
      return { goto: { target } };
    case -5:
      return { return: null };
    default:
      return { other: 'verdict' };
  }
}

function commentOf(userData: Buffer | undefined): string | undefined {
  for (let at = 0; userData !== undefined && at + 2 <= userData.length; ) {
    const length = userData.readUInt8(at + 1);
    if (userData.readUInt8(at) === COMMENT) return textOf(userData.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return undefined;
}

/** Undefined for what is of the table that is left out. */
function placeOf(body: Buffer, attributes: Buffer, { except }: RulesetQuery): Place | undefined {
  const family = FAMILIES[body.readUInt8(0)] ?? String(body.readUInt8(0));
  const table = textIn(attributes, TABLE_ATTRIBUTE);
  return family === 'inet' && table === except ? undefined : { family, table };
}

function number32(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32BE(0);
}

function textIn(attributes: Buffer, wanted: number): string {
  const value = findAttribute(attributes, wanted);
  return value === undefined ? '' : textOf(value);
}
