// Adj-RIBs-In and Loc-RIB of one family in one place, as columns (RFC 4271 §3.2): the paths of a prefix are a chain, the
// decision's result is a column. A change marks its prefix dirty; decideDirty() decides each dirty one once, however often
// it changed.

import type { Cidr } from '../../../lib/net/ip.ts';
import { type AddressFamily, FAMILIES } from '../packet/iana.ts';
import { FIRST_CAPACITY, grownColumn } from './column.ts';
import { type Candidate, type DecisionOptions, eliminate, multipathOf } from './decision.ts';
import { Forwarding, type ForwardingChange } from './forwarding.ts';
import { HeldPaths } from './held-paths.ts';
import { IdQueue } from './id-queue.ts';
import { IdStack } from './id-stack.ts';
import { type PathCounts, SourceCounts } from './path-counts.ts';
import { PathIndex } from './path-index.ts';
import { PrefixTable } from './prefix-table.ts';
import type { RouteSet, RouteSetTable } from './route-set.ts';

export interface FamilyOptions extends DecisionOptions {
  /** Whether anybody wants to know how packets are to leave. */
  readonly forwards: boolean;
}

/** Who still needs a path's or a prefix's number, although the table itself does not. */
export interface NumberHolder {
  readonly holdsPrefix: (id: number) => boolean;
  readonly holdsPath: (path: number) => boolean;
}

const GONE = 1;
const STALE = 2;
const AWAITED = 4;
/** What the peer does away with by saying the path again. */
const MARKS = STALE | AWAITED;

export class FamilyTable {
  readonly family: AddressFamily;
  readonly prefixes: PrefixTable;
  readonly sets: RouteSetTable;
  /** Prefixes of which every change is told by name. */
  readonly watched = new Set<number>();
  readonly #options: FamilyOptions;

  // By prefix. Paths are numbered from 1 here, so that 0 is none.
  #head = new Int32Array(FIRST_CAPACITY);
  #best = new Int32Array(FIRST_CAPACITY);

  // By path, element 0 unused.
  #prefix = new Int32Array(FIRST_CAPACITY);
  #source = new Int32Array(FIRST_CAPACITY);
  #set = new Int32Array(FIRST_CAPACITY);
  #next = new Int32Array(FIRST_CAPACITY);
  #flags = new Uint8Array(FIRST_CAPACITY);
  /** Path ids of peers (RFC 7911), from when the first one has any. */
  #pathId: Uint32Array | undefined;
  readonly #freePaths = new IdStack();
  #pathEnd = 1;
  readonly #heldPaths = new HeldPaths();

  readonly #dirty = new IdQueue();
  /** Decided, with paths that are gone or without any. */
  readonly #untidy = new IdStack();
  /** Prefixes without a path of which somebody holds something. */
  readonly #held = new Set<number>();
  #destinations = 0;
  readonly #counts = new SourceCounts();
  readonly #index = new PathIndex(this);
  readonly #forwarding = new Forwarding();

  constructor(family: AddressFamily, sets: RouteSetTable, options: FamilyOptions) {
    this.family = family;
    this.prefixes = new PrefixTable(FAMILIES[family].ip);
    this.sets = sets;
    this.#options = options;
  }

  /** How many prefixes have a path. */
  get destinations(): number {
    return this.#destinations;
  }

  /** Whether a prefix waits for its decision. */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  counts(source: number): Readonly<PathCounts> {
    return this.#counts.of(source);
  }

  /** The path that was chosen at the last decision; 0 for none. */
  best(id: number): number {
    return this.#best[id] ?? 0;
  }

  prefixOf(path: number): number {
    return this.#prefix[path] ?? 0;
  }

  sourceOf(path: number): number {
    return this.#source[path] ?? 0;
  }

  setOf(path: number): RouteSet {
    return this.sets.get(this.#set[path] ?? 0);
  }

  pathIdOf(path: number): number {
    return this.#pathId?.[path] ?? 0;
  }

  isStale(path: number): boolean {
    return ((this.#flags[path] ?? 0) & STALE) !== 0;
  }

  /** Withdrawn, or its slot empty. */
  isGone(path: number): boolean {
    return ((this.#flags[path] ?? 0) & GONE) !== 0;
  }

  /** The first path of the prefix and, from it, the next ones, gone ones among them; 0 ends the chain. */
  first(id: number): number {
    return this.#head[id] ?? 0;
  }

  next(path: number): number {
    return this.#next[path] ?? 0;
  }

  /** A number that the prefix keeps as long as somebody holds it, path or no path. */
  reserve(prefix: Cidr): number {
    const id = this.prefixes.internCidr(prefix);
    this.#ensurePrefixes();
    if (this.#head[id] === 0) this.#held.add(id);
    return id;
  }

  /**
   * Puts the set in the place of the source's earlier path, or adds one. One that is there already only loses its
   * marks. Returns what the source has then.
   */
  announce(id: number, source: number, pathId: number, set: RouteSet): Readonly<PathCounts> {
    this.#ensurePrefixes();
    const counts = this.#counts.of(source);
    const known = this.#index.find(id, source, pathId);
    if (known === 0) {
      this.#add(id, source, pathId, set);
      counts.received++;
      if (set.ineligible === undefined) counts.accepted++;
    } else {
      this.#count(known, counts, -1);
      this.#flags[known] = 0;
      if (this.#set[known] !== set.index) {
        this.sets.use(set);
        this.sets.release(this.setOf(known));
        this.#set[known] = set.index;
        this.#dirty.add(id);
      }
      this.#count(known, counts, 1);
    }
    return counts;
  }

  withdraw(id: number, source: number, pathId: number): void {
    const path = this.#index.find(id, source, pathId);
    if (path !== 0 && !this.isGone(path)) this.#withdrawPath(path);
  }

  /** Marks all of the source's paths and withdraws those still marked, unless `keepsMarked` (RFC 4724 §4.2). */
  markStale(source: number, keepsMarked: boolean): void {
    this.#forPaths(source, (path) => {
      if (this.isStale(path)) {
        if (!keepsMarked) this.#withdrawPath(path);
        return;
      }
      this.#mark(path, STALE);
    });
  }

  /** All of the source's paths are to come again until `sweepAwaited()`. */
  markAwaited(source: number): void {
    this.#forPaths(source, (path) => this.#mark(path, (this.#flags[path] ?? 0) | AWAITED));
  }

  sweepAwaited(source: number): void {
    if (this.counts(source).awaited === 0) return;
    this.#forPaths(source, (path) => {
      if (((this.#flags[path] ?? 0) & AWAITED) !== 0) this.#withdrawPath(path);
    });
  }

  sweepStale(source: number): void {
    if (this.counts(source).stale === 0) return;
    this.#forPaths(source, (path) => {
      if (this.isStale(path)) this.#withdrawPath(path);
    });
  }

  withdrawAll(source: number): void {
    if (this.counts(source).received === 0) return;
    this.#forPaths(source, (path) => this.#withdrawPath(path));
  }

  /** The source will never be heard of again. */
  forgetSource(source: number): void {
    this.#counts.forget(source);
  }

  /** Judges every path of the source again. */
  importAgain(
    source: number,
    importPath: (received: RouteSet['received'], prefix: () => Cidr) => RouteSet,
  ): void {
    this.#forPaths(source, (path) => {
      const id = this.prefixOf(path);
      const marks = (this.#flags[path] ?? 0) & MARKS;
      const set = importPath(this.setOf(path).received, () => this.prefixes.cidr(id));
      this.announce(id, source, this.pathIdOf(path), set);
      if (marks !== 0) this.#mark(path, marks);
    });
  }

  /** Decides dirty prefixes, at most `limit`, telling of each, and then of what changes for forwarding. */
  decideDirty(limit: number, decided: (id: number) => void): ForwardingChange[] {
    const changes: ForwardingChange[] = [];
    this.#dirty.take(limit, (id) => {
      const multipath = this.#decide(id);
      decided(id);
      if (!this.#options.forwards) return;
      const sets = multipath.map(({ path }) => this.setOf(path));
      const change = this.#forwarding.change(id, sets, this.prefixes);
      if (change !== undefined) changes.push(change);
    });
    return changes;
  }

  /**
   * After everybody has been told of what was decided: numbers that nobody holds any more are free. `mayBeFree`: also of
   * what was held before.
   */
  tidy(holder: NumberHolder, mayBeFree: boolean): void {
    while (this.#untidy.size > 0) this.#tidy(this.#untidy.pop(), holder);
    if (!mayBeFree) return;
    if (!this.#heldPaths.isEmpty) this.#releasePaths(holder);
    for (const id of this.#held) this.#tidy(id, holder);
  }

  #forPaths(source: number, visit: (path: number) => void): void {
    for (let path = 1; path < this.#pathEnd; path++)
      if (this.#source[path] === source && !this.isGone(path)) visit(path);
  }

  #add(id: number, source: number, pathId: number, set: RouteSet): void {
    const path = this.#freePaths.size > 0 ? this.#freePaths.pop() : this.#pathEnd++;
    this.#ensurePaths(path, pathId !== 0);
    this.#prefix[path] = id;
    this.#source[path] = source;
    this.#set[path] = set.index;
    this.#flags[path] = 0;
    this.#next[path] = this.#head[id] ?? 0;
    if (this.#pathId !== undefined) this.#pathId[path] = pathId;
    if (this.#head[id] === 0) this.#destinations++;
    this.#head[id] = path;
    this.#index.note(id, source, pathId, path);
    this.sets.use(set);
    this.#dirty.add(id);
  }

  #withdrawPath(path: number): void {
    this.#count(path, this.#counts.of(this.sourceOf(path)), -1);
    this.#flags[path] = GONE;
    this.#dirty.add(this.prefixOf(path));
  }

  /** Of a path that is not gone. */
  #mark(path: number, flags: number): void {
    const counts = this.#counts.of(this.sourceOf(path));
    this.#count(path, counts, -1);
    this.#flags[path] = flags;
    this.#count(path, counts, 1);
  }

  /** Adds the path to the counts of its source, or takes it away; one that is gone is in none. */
  #count(path: number, counts: PathCounts, by: 1 | -1): void {
    const flags = this.#flags[path] ?? 0;
    if ((flags & GONE) !== 0) return;
    counts.received += by;
    if ((flags & STALE) !== 0) counts.stale += by;
    if ((flags & AWAITED) !== 0) counts.awaited += by;
    if (this.setOf(path).ineligible === undefined) counts.accepted += by;
  }

  /** Returns the paths that share the load, where anybody wants to know. */
  #decide(id: number): readonly PathCandidate[] {
    const { forwards, maxPaths } = this.#options;
    const eligible = this.#eligible(id);
    if (typeof eligible === 'number') {
      this.#best[id] = eligible;
      return eligible === 0 || !forwards ? [] : [this.#candidate(eligible)];
    }
    const { best, tied } = eliminate(eligible.map((path) => this.#candidate(path)));
    this.#best[id] = best?.path ?? 0;
    return forwards ? multipathOf(best, tied, maxPaths) : [];
  }

  /** The paths that may take part; the number itself if it is one alone, as mostly, and 0 if there is none. */
  #eligible(id: number): number | readonly number[] {
    let only = 0;
    let several: number[] | undefined;
    let isUntidy = this.#head[id] === 0;
    for (let path = this.#head[id] ?? 0; path !== 0; path = this.#next[path] ?? 0) {
      if (this.isGone(path)) isUntidy = true;
      else if (this.setOf(path).ineligible !== undefined) continue;
      else if (only === 0) only = path;
      else if (several === undefined) several = [only, path];
      else several.push(path);
    }
    if (isUntidy) this.#untidy.push(id);
    return several ?? only;
  }

  #candidate(path: number): PathCandidate {
    return { path, ranks: this.setOf(path).ranks, pathId: this.pathIdOf(path) };
  }

  /** Unlinks what is gone; a prefix without a path, of which nobody holds anything, gives its number back. */
  #tidy(id: number, holder: NumberHolder): void {
    this.#index.forget(id);
    let before = 0;
    for (let path = this.#head[id] ?? 0; path !== 0; ) {
      const next = this.#next[path] ?? 0;
      if (this.isGone(path)) {
        this.#unlink(id, path, before);
        this.#free(id, path, holder);
      } else {
        before = path;
      }
      path = next;
    }
    const isFree = this.#head[id] === 0 && this.prefixes.isUsed(id);
    if (isFree && (this.#heldPaths.hasPrefix(id) || holder.holdsPrefix(id))) {
      this.#held.add(id);
      return;
    }
    if (this.#held.size > 0) this.#held.delete(id);
    if (isFree) this.prefixes.release(id);
  }

  #unlink(id: number, path: number, before: number): void {
    const next = this.#next[path] ?? 0;
    if (before !== 0) {
      this.#next[before] = next;
      return;
    }
    this.#head[id] = next;
    if (next === 0) this.#destinations--;
  }

  #free(id: number, path: number, holder: NumberHolder): void {
    this.sets.release(this.setOf(path));
    this.#source[path] = UNOWNED;
    if (holder.holdsPath(path)) this.#heldPaths.add(path, id);
    else this.#freePaths.push(path);
  }

  #releasePaths(holder: NumberHolder): void {
    this.#heldPaths.release(
      (path) => holder.holdsPath(path),
      (path) => this.prefixOf(path),
      (path) => this.#freePaths.push(path),
    );
  }

  #ensurePrefixes(): void {
    const { capacity } = this.prefixes;
    if (capacity === this.#head.length) return;
    this.#head = grownColumn(this.#head, capacity);
    this.#best = grownColumn(this.#best, capacity);
  }

  #ensurePaths(path: number, needsPathId: boolean): void {
    if (path >= this.#prefix.length) {
      this.#prefix = grownColumn(this.#prefix, path + 1);
      this.#source = grownColumn(this.#source, path + 1);
      this.#set = grownColumn(this.#set, path + 1);
      this.#next = grownColumn(this.#next, path + 1);
      this.#flags = grownColumn(this.#flags, path + 1);
      if (this.#pathId !== undefined) this.#pathId = grownColumn(this.#pathId, path + 1);
    }
    if (needsPathId) this.#pathId ??= new Uint32Array(this.#prefix.length);
  }
}

interface PathCandidate extends Candidate {
  readonly path: number;
}

/** No source: the slot is empty, or kept for somebody who holds its number. */
const UNOWNED = -1;
