// What a group's chain says of a TCP packet over IPv4, as the kernel would go through it: the few forms of rules that runs over networks,
// selectors and ports are rendered to. Anything else throws.

import type { NftTable } from '../../../../agents/felix/nftables/render/table.ts';
import { cidrContains, cidrFirst, cidrLast, parseCidr, parseIp } from '../../../../lib/net/ip.ts';

const TCP = 6;
const ALLOW_BIT = 0x40000;

export interface JudgedPacket {
  readonly source: string;
  readonly port: number;
}

/** `allow`, `deny`, or `end` where no rule decides. */
export function judge(table: NftTable, chainName: string, packet: JudgedPacket): string {
  const chain = table.chains.get(chainName);
  if (chain === undefined) throw new Error(`no chain ${chainName}`);
  for (const rule of chain.rules) {
    const verdict = judgeRule(table, rule.replace(/ comment ".*"$/, ''), packet);
    if (verdict?.startsWith('goto ') === true) return judge(table, verdict.slice('goto '.length), packet);
    if (verdict !== undefined) return verdict;
  }
  return 'end';
}

/** Names of sets that rules look into and the table has not. */
export function missingSets(table: NftTable): readonly string[] {
  const named = [...table.chains.values()].flatMap(({ rules }) =>
    rules.flatMap((rule) => [...rule.matchAll(/@(\w+)/g)].map(([, name = '']) => name)),
  );
  return [...new Set(named.filter((name) => !table.sets.has(name)))];
}

/** Undefined where the rule does not match. */
function judgeRule(table: NftTable, rule: string, { source, port }: JudgedPacket): string | undefined {
  let mark = Number.NaN;
  let rest = rule;
  const take = (form: RegExp): readonly string[] | undefined => {
    const found = form.exec(rest);
    if (found === null) return undefined;
    rest = rest.slice(found[0].length).trimStart();
    return found;
  };
  const look = (value: string | undefined): boolean => {
    mark = Number(value);
    return value !== undefined;
  };
  while (rest !== '') {
    const matches =
      check(take(/^meta l4proto (\d+)/), ([, protocol]) => Number(protocol) === TCP) ??
      check(take(/^meta nfproto ipv(\d)/), ([, family]) => family === '4') ??
      check(take(/^meta mark set ct original ip saddr map @(\w+)/), ([, name]) =>
        look(addressIn(table, name, source)),
      ) ??
      check(take(/^meta mark set ct original ip6 saddr map @\w+/), () => false) ??
      check(take(/^meta mark set meta mark \. meta l4proto \. ct reply proto-src map @(\w+)/), ([, name]) =>
        look(keyIn(table, name, [mark, TCP, port])),
      ) ??
      check(take(/^meta mark set meta mark \. meta l4proto map @(\w+)/), ([, name]) =>
        look(keyIn(table, name, [mark, TCP])),
      ) ??
      check(take(/^meta mark set meta mark map @(\w+)/), ([, name]) => look(keyIn(table, name, [mark]))) ??
      check(take(/^meta mark set meta l4proto \. ct reply proto-src map @(\w+)/), ([, name]) =>
        look(keyIn(table, name, [TCP, port])),
      ) ??
      check(take(/^meta mark set (0x\w+)/), ([, value]) => look(value));
    if (matches === false) return undefined;
    if (matches === true) continue;
    if (rest === 'return') return (mark & ALLOW_BIT) === 0 ? 'end' : 'allow';
    if (/^goto (denied|dropped)_/.test(rest)) return 'deny';
    if (rest.startsWith('goto ')) return rest;
    throw new Error(`a form of rule that is not known here: ${rest}`);
  }
  throw new Error(`a rule without an end: ${rule}`);
}

function check(
  found: readonly string[] | undefined,
  holds: (found: readonly string[]) => boolean,
): boolean | undefined {
  return found === undefined ? undefined : holds(found);
}

function addressIn(table: NftTable, name = '', address: string): string | undefined {
  const set = table.sets.get(name);
  if (set === undefined) throw new Error(`no set ${name}`);
  if (!set.isInterval) return set.elements.get(address)?.value;
  const wanted = parseIp(address);
  if (wanted === undefined) throw new Error(`no address: ${address}`);
  for (const [key, { value }] of set.elements) {
    const [first = '', last = first] = key
      .split('-')
      .map((part) => (part.includes('/') ? part : `${part}/32`));
    const [from, to] = [parseCidr(first), parseCidr(last)];
    if (from === undefined || to === undefined) throw new Error(`no interval: ${key}`);
    const isIn = cidrFirst(from).value <= wanted.value && wanted.value <= cidrLast(to).value;
    if (isIn || cidrContains(from, wanted)) return value;
  }
  return undefined;
}

function keyIn(table: NftTable, name = '', fields: readonly number[]): string | undefined {
  const set = table.sets.get(name);
  if (set === undefined) throw new Error(`no set ${name}`);
  if (!set.isInterval) return set.elements.get(fields.join(' . '))?.value;
  for (const [key, { value }] of set.elements) {
    const isIn = key.split(' . ').every((part, index) => {
      const [min = Number.NaN, max = min] = part.split('-').map(Number);
      const field = fields[index] ?? Number.NaN;
      return min <= field && field <= max;
    });
    if (isIn) return value;
  }
  return undefined;
}
