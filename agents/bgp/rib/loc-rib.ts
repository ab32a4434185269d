// Loc-RIB: all paths of every destination and the decision among them (RFC 4271 §3.2, §9.1.2). A change marks its
// destination dirty; decideDirty() decides each dirty one once, however often it changed.

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import type { AddressFamily } from '../packet/iana.ts';
import { type Decision, type DecisionOptions, decide } from './decision.ts';
import { type Path, prefixKey, sourceName } from './path.ts';

export interface Destination {
  readonly family: AddressFamily;
  readonly prefix: Cidr;
  readonly decision: Decision;
}

/** How packets to a prefix are to leave; without next hops the route is to go. */
export interface ForwardingChange {
  readonly prefix: Cidr;
  readonly nextHops: readonly IpAddress[];
}

interface Entry {
  readonly family: AddressFamily;
  readonly prefix: Cidr;
  readonly pathsBySource: Map<string, Path>;
  decision: Decision;
  forwarding: string;
}

const UNDECIDED: Decision = { best: undefined, multipath: [], verdicts: new Map() };

export class LocRib {
  readonly #options: DecisionOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<string>();

  constructor(options: DecisionOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds the path, or puts it in the place of its source's earlier one. */
  set(path: Path): void {
    const key = prefixKey(path.prefix);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const { family, prefix } = path;
      entry = { family, prefix, pathsBySource: new Map(), decision: UNDECIDED, forwarding: '' };
      this.#entries.set(key, entry);
    }
    entry.pathsBySource.set(sourceName(path.source), path);
    this.#dirty.add(key);
  }

  delete(path: Path): void {
    const key = prefixKey(path.prefix);
    if (this.#entries.get(key)?.pathsBySource.delete(sourceName(path.source)) === true) this.#dirty.add(key);
  }

  get(key: string): Destination | undefined {
    return this.#entries.get(key);
  }

  *destinations(): IterableIterator<Destination> {
    yield* this.#entries.values();
  }

  /**
   * Decides the dirty destinations of the families not held back and returns their keys and what changes for
   * forwarding. Destinations without a path are gone afterwards; `decided` tells of them too.
   */
  decideDirty(isDeferred: (family: AddressFamily) => boolean): {
    readonly decided: ReadonlyMap<string, Destination>;
    readonly forwarding: readonly ForwardingChange[];
  } {
    const decided = new Map<string, Destination>();
    const forwarding: ForwardingChange[] = [];
    for (const key of this.#dirty) {
      const entry = this.#entries.get(key);
      if (entry === undefined || isDeferred(entry.family)) continue;
      this.#dirty.delete(key);
      entry.decision = decide([...entry.pathsBySource.values()], this.#options);
      decided.set(key, { family: entry.family, prefix: entry.prefix, decision: entry.decision });
      const nextHops = nextHopsOf(entry.decision);
      const text = nextHops.map((hop) => `${hop.family}:${hop.value}`).join(' ');
      if (text !== entry.forwarding) {
        entry.forwarding = text;
        forwarding.push({ prefix: entry.prefix, nextHops });
      }
      if (entry.pathsBySource.size === 0) this.#entries.delete(key);
    }
    return { decided, forwarding };
  }
}

/** Local paths are the kernel's already; the others leave by their next hops, each once, in numerical order. */
function nextHopsOf(decision: Decision): IpAddress[] {
  if (decision.best?.source.kind !== 'peer') return [];
  const byValue = new Map(
    decision.multipath.map(({ attributes }) => [attributes.nextHop.value, attributes.nextHop] as const),
  );
  return [...byValue.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, hop]) => hop);
}
