// The tables as values, for those who look: destinations with all their paths and the decision explained, what each peer is
// told of them, and why it is not. Nothing here changes anything.

import type { Cidr } from '../../../lib/net/ip.ts';
import { ADDRESS_FAMILIES, type AddressFamily, unicastFamily } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import type { SuppressReason } from './advertise.ts';
import { type Decision, type DecisionOptions, decide } from './decision.ts';
import type { FamilyTable } from './family-table.ts';
import { outgoingOf } from './outgoing-sets.ts';
import type { Path } from './path.ts';
import type { RibPeer } from './rib-peer.ts';
import { audienceOf, type UpdateGroups } from './update-groups.ts';

export interface Destination {
  readonly family: AddressFamily;
  readonly prefix: Cidr;
  readonly decision: Decision;
}

/** Where a destination stands in the tables: a walk can go on behind it, whatever has changed meanwhile. */
export interface Position {
  readonly family: AddressFamily;
  readonly id: number;
}

export type NotTold =
  | SuppressReason
  | 'notEstablished'
  | 'noBestPath'
  | 'undecided'
  | 'restarting'
  /** The path is the peer's own. */
  | 'isSource'
  /** The next hop is the peer's own address (RFC 4271 §5.1.3). */
  | 'isNextHop'
  /** No message has room for the attributes (RFC 8654 §5). */
  | 'tooLarge';

export type Told =
  | { readonly isTold: true; readonly attributes: readonly RouteAttributes[]; readonly isPending: boolean }
  | { readonly isTold: false; readonly reason: NotTold };

export interface ViewedPeer {
  readonly index: number;
  /** Set while the session is Established. */
  readonly up: { readonly peer: RibPeer } | undefined;
}

export interface ViewedTables {
  readonly tables: Readonly<Record<AddressFamily, FamilyTable>>;
  readonly groups: UpdateGroups;
  readonly peers: ReadonlyMap<string, ViewedPeer>;
  readonly options: DecisionOptions;
  readonly isDeferred: (family: AddressFamily) => boolean;
}

export class RibView {
  readonly #tables: ViewedTables;

  constructor(tables: ViewedTables) {
    this.#tables = tables;
  }

  /** Every prefix that has a number, some of them without a path; behind `after` where it is given. */
  *positions(after?: Position): IterableIterator<Position> {
    const families = after === undefined ? ADDRESS_FAMILIES : familiesFrom(after.family);
    for (const family of families) {
      const { prefixes } = this.#tables.tables[family];
      for (let id = family === after?.family ? after.id + 1 : 0; id < prefixes.end; id++)
        if (prefixes.isUsed(id)) yield { family, id };
    }
  }

  /** Undefined if the prefix has no number. */
  position(prefix: Cidr): Position | undefined {
    const family = unicastFamily(prefix.family);
    const id = this.#tables.tables[family].prefixes.findCidr(prefix);
    return id < 0 ? undefined : { family, id };
  }

  prefix({ family, id }: Position): Cidr {
    return this.#tables.tables[family].prefixes.cidr(id);
  }

  /** Undefined if the prefix has no path. */
  destination({ family, id }: Position): Destination | undefined {
    const { tables, options } = this.#tables;
    return destinationOf(tables[family], id, options);
  }

  /** Whether the peer has announced the prefix. */
  hasPathOf(name: string, { family, id }: Position): boolean {
    const source = this.#tables.peers.get(name)?.index;
    const table = this.#tables.tables[family];
    for (let path = table.first(id); path !== 0; path = table.next(path))
      if (table.sourceOf(path) === source && !table.isGone(path)) return true;
    return false;
  }

  /** The attributes that the peer has been told, or is about to be; several with path ids (RFC 7911). */
  toldAttributes(name: string, { family, id }: Position): readonly RouteAttributes[] {
    const index = this.#tables.peers.get(name)?.index;
    return index === undefined ? [] : this.#tables.groups.told(index, family, id);
  }

  told(name: string, position: Position): Told {
    const state = this.#tables.peers.get(name);
    if (state?.up === undefined) return { isTold: false, reason: 'notEstablished' };
    const { family, id } = position;
    const attributes = this.toldAttributes(name, position);
    if (attributes.length > 0) {
      const isPending = this.#tables.groups.isPending(state.index, family, id);
      return { isTold: true, attributes, isPending };
    }
    return { isTold: false, reason: this.#whyNot(state.index, state.up.peer, position) };
  }

  #whyNot(index: number, peer: RibPeer, { family, id }: Position): NotTold {
    const { tables, isDeferred } = this.#tables;
    const table = tables[family];
    if (isDeferred(family)) return 'restarting';
    const best = table.best(id);
    if (best === 0) return 'noBestPath';
    const set = table.setOf(best);
    if (set.sourceIndex === index) return 'isSource';
    const out = outgoingOf(set, id, table, audienceOf(peer));
    if (typeof out === 'string') return out;
    const { nextHop } = out.attributes;
    if (nextHop.family === peer.address.family && nextHop.value === peer.address.value) return 'isNextHop';
    return out.fits ? 'undecided' : 'tooLarge';
  }
}

/** Undefined if the prefix has no path. */
export function destinationOf(
  table: FamilyTable,
  id: number,
  options: DecisionOptions,
): Destination | undefined {
  if (!table.prefixes.isUsed(id)) return undefined;
  const prefix = table.prefixes.cidr(id);
  const paths: Path[] = [];
  for (let path = table.first(id); path !== 0; path = table.next(path))
    if (!table.isGone(path)) paths.push(pathOf(table, path, prefix));
  if (paths.length === 0) return undefined;
  return { family: table.family, prefix, decision: decide(paths, options) };
}

function pathOf(table: FamilyTable, path: number, prefix: Cidr): Path {
  const { source, attributes, received, ineligible } = table.setOf(path);
  const pathId = table.pathIdOf(path);
  return {
    prefix,
    family: table.family,
    source,
    attributes,
    received: received.attributes,
    stale: table.isStale(path),
    ...(pathId === 0 ? {} : { pathId }),
    ...(ineligible === undefined ? {} : { ineligible }),
  };
}

function familiesFrom(family: AddressFamily): readonly AddressFamily[] {
  return ADDRESS_FAMILIES.slice(ADDRESS_FAMILIES.indexOf(family));
}
