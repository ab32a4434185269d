// Our own prefixes: paths of a source that has no session.

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import type { FamilyTable } from './family-table.ts';
import { LOCAL_IMPORTER } from './import.ts';
import { attributesKey, prefixKey } from './path.ts';
import { type RouteSetTable, SourceSets } from './route-set.ts';

/** Index of the source that is the speaker itself. */
export const LOCAL_SOURCE = 0;

/** A prefix of our own and the attributes that it is announced with. */
export interface OriginatedRoute {
  readonly prefix: Cidr;
  readonly communities?: readonly number[];
  readonly largeCommunities?: RouteAttributes['largeCommunities'];
  readonly localPref?: number;
  readonly multiExitDisc?: number;
}

export class OriginatedRoutes {
  readonly #sets: SourceSets;
  readonly #tableOf: (prefix: Cidr) => FamilyTable;
  readonly #routes = new Map<string, { readonly key: string; readonly prefix: Cidr }>();

  constructor(sets: RouteSetTable, localAsn: number, tableOf: (prefix: Cidr) => FamilyTable) {
    this.#sets = new SourceSets(sets, { kind: 'local' }, LOCAL_SOURCE, localAsn, LOCAL_IMPORTER);
    this.#tableOf = tableOf;
  }

  /** The whole set; what is not named any more is withdrawn. */
  set(routes: readonly OriginatedRoute[]): void {
    const wanted = new Map(routes.map((route) => [prefixKey(route.prefix), route]));
    for (const [key, { prefix }] of this.#routes) {
      if (wanted.has(key)) continue;
      this.#routes.delete(key);
      const table = this.#tableOf(prefix);
      table.withdraw(table.prefixes.findCidr(prefix), LOCAL_SOURCE, 0);
    }
    for (const [key, route] of wanted) this.#announce(key, route);
  }

  #announce(key: string, route: OriginatedRoute): void {
    const { prefix } = route;
    const attributes = localAttributes(route);
    const table = this.#tableOf(prefix);
    const setKey = `${table.family} ${attributesKey(attributes)}`;
    if (this.#routes.get(key)?.key === setKey) return;
    this.#routes.set(key, { key: setKey, prefix });
    const received = this.#sets.get(setKey) ?? this.#sets.add(setKey, table.family, attributes);
    const set = this.#sets.forPrefix(received, () => prefix);
    table.announce(table.prefixes.internCidr(prefix), LOCAL_SOURCE, 0, set);
  }
}

function localAttributes(route: OriginatedRoute): RouteAttributes {
  const { prefix, communities, largeCommunities, localPref, multiExitDisc } = route;
  const unspecified: IpAddress = { family: prefix.family, value: 0n };
  return {
    origin: 'igp',
    asPath: [],
    nextHop: unspecified,
    ...(multiExitDisc === undefined ? {} : { multiExitDisc }),
    ...(localPref === undefined ? {} : { localPref }),
    ...(communities === undefined || communities.length === 0 ? {} : { communities }),
    ...(largeCommunities === undefined || largeCommunities.length === 0 ? {} : { largeCommunities }),
  };
}
