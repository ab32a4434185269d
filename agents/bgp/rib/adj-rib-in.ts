// Adj-RIB-In: every path that one peer has announced and not withdrawn, rejected ones too (RFC 4271 §3.2), with the
// marks of graceful restart's receiving side (RFC 4724 §4.2).

import type { Cidr } from '../../../lib/net/ip.ts';
import { ADDRESS_FAMILIES, type AddressFamily } from '../packet/iana.ts';
import { attributesKey, type Path, prefixKey } from './path.ts';

export class AdjRibIn {
  readonly #paths: Readonly<Record<AddressFamily, Map<string, Path>>> = {
    ipv4Unicast: new Map(),
    ipv6Unicast: new Map(),
  };

  /** How many of a family are marked stale. */
  readonly #stale: Record<AddressFamily, number> = { ipv4Unicast: 0, ipv6Unicast: 0 };

  /** Takes the path in; false if the table already says just that, whereupon it only loses its stale mark. */
  set(path: Path): boolean {
    const table = this.#paths[path.family];
    const key = prefixKey(path.prefix);
    const before = table.get(key);
    table.set(key, path);
    this.#stale[path.family] += Number(path.stale) - Number(before?.stale ?? false);
    return before === undefined || !isSame(before, path);
  }

  delete(family: AddressFamily, prefix: Cidr): void {
    const key = prefixKey(prefix);
    if (this.#paths[family].get(key)?.stale === true) this.#stale[family]--;
    this.#paths[family].delete(key);
  }

  *paths(family?: AddressFamily): IterableIterator<Path> {
    for (const one of family === undefined ? ADDRESS_FAMILIES : [family]) yield* this.#paths[one].values();
  }

  get(family: AddressFamily, key: string): Path | undefined {
    return this.#paths[family].get(key);
  }

  size(family: AddressFamily): number {
    return this.#paths[family].size;
  }

  staleCount(family: AddressFamily): number {
    return this.#stale[family];
  }

  /** What the peer has announced in its session: stale paths are of an earlier one. */
  announcedCount(family: AddressFamily): number {
    return this.#paths[family].size - this.#stale[family];
  }

  /**
   * Marks a family's paths and deletes those that an earlier restart had left marked, unless `sameRestart`; returns the
   * deleted.
   */
  markStale(family: AddressFamily, sameRestart: boolean): Path[] {
    const swept = sameRestart ? [] : this.sweepStale(family);
    const table = this.#paths[family];
    for (const [key, path] of table) table.set(key, { ...path, stale: true });
    this.#stale[family] = table.size;
    return swept;
  }

  /** Deletes what is still marked. */
  sweepStale(family: AddressFamily): Path[] {
    const swept = [...this.#paths[family].values()].filter((path) => path.stale);
    for (const path of swept) this.#paths[family].delete(prefixKey(path.prefix));
    this.#stale[family] = 0;
    return swept;
  }

  clear(family: AddressFamily): Path[] {
    const cleared = [...this.#paths[family].values()];
    this.#paths[family].clear();
    this.#stale[family] = 0;
    return cleared;
  }
}

/** The stale mark aside: a path that comes again unchanged must not stir anybody. */
function isSame(a: Path, b: Path): boolean {
  return (
    a.ineligible === b.ineligible &&
    attributesKey(a.attributes) === attributesKey(b.attributes) &&
    attributesKey(a.received) === attributesKey(b.received) &&
    a.source.kind === 'peer' &&
    b.source.kind === 'peer' &&
    a.source.identifier === b.source.identifier &&
    a.source.isClient === b.source.isClient
  );
}
