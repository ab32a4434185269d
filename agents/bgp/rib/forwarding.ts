// How packets leave for each prefix, as far as the kernel has been told: only what is different is told again.

import { type Cidr, isLinkLocal, type NextHop } from '../../../lib/net/ip.ts';
import type { PrefixTable } from './prefix-table.ts';
import type { RouteSet } from './route-set.ts';

/** How packets to a prefix are to leave; without next hops the route is to go. */
export interface ForwardingChange {
  readonly prefix: Cidr;
  readonly nextHops: readonly NextHop[];
}

export class Forwarding {
  readonly #told = new Map<number, string>();

  /** `sets`: those of the paths that share the load, the best first. Undefined: nothing is different. */
  change(id: number, sets: readonly RouteSet[], prefixes: PrefixTable): ForwardingChange | undefined {
    const nextHops = nextHopsOf(sets);
    const text = nextHops.map(textOf).join(' ');
    if (text === (this.#told.get(id) ?? '')) return undefined;
    if (text === '') this.#told.delete(id);
    else this.#told.set(id, text);
    return { prefix: prefixes.cidr(id), nextHops };
  }
}

/** Local paths are the kernel's already; the others leave by their next hops, each once, in numerical order. */
function nextHopsOf(sets: readonly RouteSet[]): NextHop[] {
  if (sets[0]?.ranks.isLocal !== false) return [];
  const byText = new Map(sets.map(nextHopOf).map((hop) => [textOf(hop), hop]));
  return [...byText.values()].sort((a, b) => (a.value < b.value ? -1 : 1));
}

/** A link-local next hop is on the link that the session is on. */
function nextHopOf({ attributes, source }: RouteSet): NextHop {
  const { nextHop } = attributes;
  const zone = source.kind === 'peer' && isLinkLocal(nextHop) ? source.zone : undefined;
  return zone === undefined ? nextHop : { ...nextHop, zone };
}

function textOf({ family, value, zone = '' }: NextHop): string {
  return `${family}:${value}%${zone}`;
}
