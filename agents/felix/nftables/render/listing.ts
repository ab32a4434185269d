// A listing of our table (nft's JSON) as values: what an agent that starts finds, and whether somebody else has changed what we
// programmed. Elements are compared by value, rules by their number in each chain (docs/dataplane.md "Foreign writes").

import { cidrFirst, cidrLast, formatIp, parseCidr } from '../../../../lib/net/ip.ts';
import { epochOfName } from './numbering.ts';
import { Mark } from './scratch.ts';
import type { ElementValue, NftTable, ObjectKind } from './table.ts';

export interface ListedObject {
  readonly kind: ObjectKind;
  readonly name: string;
}

export interface Listing {
  readonly objects: readonly ListedObject[];
  /** What each chain that hooks into the kernel was declared as. */
  readonly baseChains: ReadonlyMap<string, string>;
  readonly ruleCounts: ReadonlyMap<string, number>;
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** From the first rule of `forward`. */
  readonly generation: number | undefined;
  readonly epochs: ReadonlySet<number>;
}

/** `json` is what `list table inet calico` printed; undefined if it is not of nft's form. */
export function parseListing(json: unknown): Listing | undefined {
  const entries = field(json, 'nftables');
  if (!Array.isArray(entries)) return undefined;
  const objects: ListedObject[] = [];
  const baseChains = new Map<string, string>();
  const ruleCounts = new Map<string, number>();
  const elements = new Map<string, ReadonlyMap<string, string>>();
  let generation: number | undefined;
  for (const entry of entries) {
    for (const kind of ['set', 'map', 'chain'] as const) {
      const name = field(field(entry, kind), 'name');
      if (typeof name !== 'string') continue;
      objects.push({ kind, name });
      if (kind === 'chain') {
        ruleCounts.set(name, ruleCounts.get(name) ?? 0);
        addBaseChain(baseChains, name, field(entry, kind));
      } else elements.set(name, parseElements(field(field(entry, kind), 'elem')));
    }
    const rule = field(entry, 'rule');
    const chain = field(rule, 'chain');
    if (typeof chain !== 'string') continue;
    if (chain === 'forward' && (ruleCounts.get(chain) ?? 0) === 0) generation = generationOf(rule);
    ruleCounts.set(chain, (ruleCounts.get(chain) ?? 0) + 1);
  }
  const epochs = new Set(objects.flatMap(({ name }) => epochOfName(name) ?? []));
  return { objects, baseChains, ruleCounts, elements, generation, epochs };
}

/** Names of what differs; none if the table is as it was programmed. What epochs before this one have left does not count. */
export function differences(programmed: NftTable, listing: Listing, epoch: number): readonly string[] {
  const result: string[] = [];
  const listed = new Set(listing.objects.map(({ name }) => name));
  for (const [name, chain] of programmed.chains) {
    if (listing.ruleCounts.get(name) !== chain.rules.length) result.push(name);
  }
  for (const [name, set] of programmed.sets) {
    const isDynamic = set.declaration.includes('dynamic');
    if (!listed.has(name)) result.push(name);
    else if (!isDynamic && !sameElements(set.elements, listing.elements.get(name))) result.push(name);
  }
  for (const name of listed) {
    const isOfEarlierEpoch = (epochOfName(name) ?? epoch) < epoch;
    if (!isOfEarlierEpoch && !programmed.chains.has(name) && !programmed.sets.has(name)) result.push(name);
  }
  return result;
}

function sameElements(
  programmed: ReadonlyMap<string, ElementValue>,
  listed: ReadonlyMap<string, string> | undefined,
): boolean {
  if (listed?.size !== programmed.size) return false;
  for (const [key, { value }] of programmed) {
    const canonical = key.split(' . ').map(canonicalField).join(' . ');
    if (listed.get(canonical) !== canonicalField(value)) return false;
  }
  return true;
}

function addBaseChain(baseChains: Map<string, string>, name: string, chain: unknown): void {
  const [type, hook, priority] = ['type', 'hook', 'prio'].map((name) => field(chain, name));
  if (typeof type !== 'string' || typeof hook !== 'string' || typeof priority !== 'number') return;
  baseChains.set(name, `type ${type} hook ${hook} priority ${priority}; policy accept;`);
}

/** The first expression of the fast path: `ct mark & mask == generation << 20`, which nft also prints as a prefix. */
function generationOf(rule: unknown): number | undefined {
  const expressions = field(rule, 'expr');
  const right = Array.isArray(expressions) ? field(field(expressions[0], 'match'), 'right') : undefined;
  const mark = field(field(right, 'prefix'), 'addr') ?? right;
  return typeof mark === 'number' ? mark >>> Mark.generationShift : undefined;
}

function parseElements(elem: unknown): ReadonlyMap<string, string> {
  const result = new Map<string, string>();
  for (const entry of Array.isArray(elem) ? elem : []) {
    const isPair = Array.isArray(entry) && entry.length === 2;
    result.set(keyText(isPair ? entry[0] : entry), isPair ? valueText(entry[1]) : '');
  }
  return result;
}

function keyText(key: unknown): string {
  const wrapped = field(field(key, 'elem'), 'val');
  if (wrapped !== undefined) return keyText(wrapped);
  const concat = field(key, 'concat');
  if (Array.isArray(concat)) return concat.map(keyText).join(' . ');
  const range = field(key, 'range');
  if (Array.isArray(range)) return canonicalField(`${String(range[0])}-${String(range[1])}`);
  const prefix = field(key, 'prefix');
  if (prefix !== undefined)
    return canonicalField(`${String(field(prefix, 'addr'))}/${String(field(prefix, 'len'))}`);
  return canonicalField(String(key));
}

function valueText(value: unknown): string {
  const target = field(field(value, 'goto'), 'target');
  return target === undefined ? canonicalField(String(value)) : `goto ${String(target)}`;
}

/** One form for a field, however it is written: no quotes, numbers decimal (a classid is listed in two halves), networks as `first-last`, a range of one as its value. */
function canonicalField(text: string): string {
  if (text.startsWith('"')) return text.slice(1, -1);
  if (/^0x[0-9a-f]+$/.test(text)) return String(Number(text));
  const classid = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text);
  if (classid !== null)
    return String(Number.parseInt(classid[1] ?? '', 16) * 0x10000 + Number.parseInt(classid[2] ?? '', 16));
  if (text.includes('/')) {
    const cidr = parseCidr(text);
    if (cidr !== undefined) return canonicalRange(formatIp(cidrFirst(cidr)), formatIp(cidrLast(cidr)));
  }
  const dash = text.indexOf('-');
  // Interface names may hold a dash; addresses and ports begin with a digit or a colon.
  if (dash > 0 && /^[0-9a-f:.]+-[0-9a-f:.]+$/.test(text))
    return canonicalRange(text.slice(0, dash), text.slice(dash + 1));
  return text;
}

function canonicalRange(first: string, last: string): string {
  return first === last ? first : `${first}-${last}`;
}

/** A field of parsed JSON; undefined where there is none. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
