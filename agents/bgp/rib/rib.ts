// The routing tables of a speaker in one place: what sessions learn goes in, flush() decides once for all that has
// changed and says what every peer and the kernel are to be told (RFC 4271 §3.2, §9; RFC 4724 §4).
//
//   UPDATE ─► import ─► Adj-RIB-In ─► Loc-RIB (decision) ─► advertise ─► Adj-RIB-Out ─► messages
//                                        └────────────────► forwarding ─► kernel

import type { Cidr, IpAddress } from '../../../lib/net/ip.ts';
import { ADDRESS_FAMILIES, type AddressFamily } from '../packet/iana.ts';
import type { RouteAttributes, RouteChanges } from '../packet/validate.ts';
import { AdjRibIn } from './adj-rib-in.ts';
import { AdjRibOut, type PeerUpdates } from './adj-rib-out.ts';
import { advertise } from './advertise.ts';
import { type ImportContext, importPath } from './import.ts';
import { type Destination, type ForwardingChange, LocRib } from './loc-rib.ts';
import { attributesKey, type Path, prefixKey } from './path.ts';
import type { RibPeer, RibPeerConfig } from './rib-peer.ts';
import { SelectionDeferral } from './selection-deferral.ts';

export interface RibOptions extends ImportContext {
  readonly localAsn: number;
  readonly maxPaths: number;
}

/** A prefix of our own and the attributes that it is announced with. */
export interface OriginatedRoute {
  readonly prefix: Cidr;
  readonly communities?: readonly number[];
  readonly largeCommunities?: RouteAttributes['largeCommunities'];
  readonly localPref?: number;
  readonly multiExitDisc?: number;
}

export interface Flush {
  readonly updatesByPeer: ReadonlyMap<string, PeerUpdates>;
  readonly forwarding: readonly ForwardingChange[];
}

/** A family of which a peer has announced more than it may: its session has to end. */
export interface PrefixExcess {
  readonly family: AddressFamily;
  readonly limit: number;
}

/** What the end of a session means for the routes that it has brought. */
export interface SessionEnd {
  readonly graceful: boolean;
  readonly sameRestart: boolean;
}

interface PeerTables {
  readonly adjRibIn: AdjRibIn;
  /** Set while the session is Established. */
  up: { readonly peer: RibPeer; readonly adjRibOut: AdjRibOut } | undefined;
  /** The families whose End-of-RIB we still owe. */
  owed: Set<AddressFamily>;
  /** The families whose whole table is to be compared, or sent again even if unchanged. */
  walk: Map<AddressFamily, 'compare' | 'resend'>;
}

export class Rib {
  #context: ImportContext;
  readonly #locRib: LocRib;
  readonly #peers = new Map<string, PeerTables>();
  readonly #originated = new Map<string, Path>();
  #deferral = new SelectionDeferral([]);

  constructor(options: RibOptions) {
    this.#context = options;
    this.#locRib = new LocRib(options);
  }

  /** Begins a restart: nothing is selected before the peers named have sent their tables, or `endDeferral()`. */
  deferSelection(peers: readonly string[]): void {
    this.#deferral = new SelectionDeferral(peers);
  }

  endDeferral(): void {
    this.#deferral.expire();
  }

  get isDeferring(): boolean {
    return !this.#deferral.isOver;
  }

  /** The whole set of own prefixes; what is not named any more is withdrawn. */
  setOriginated(routes: readonly OriginatedRoute[]): void {
    const wanted = new Map(routes.map((route) => [prefixKey(route.prefix), localPath(route)]));
    for (const [key, path] of this.#originated) {
      if (wanted.has(key)) continue;
      this.#originated.delete(key);
      this.#locRib.delete(path);
    }
    for (const [key, path] of wanted) {
      const before = this.#originated.get(key);
      if (before !== undefined && attributesKey(before.attributes) === attributesKey(path.attributes))
        continue;
      this.#originated.set(key, path);
      this.#locRib.set(path);
    }
  }

  /** A session is Established: its table is due, and stale paths that the peer did not keep forwarding for go at once. */
  peerUp(peer: RibPeer): void {
    const tables = this.#tables(peer.name);
    const { families } = peer.session.context;
    tables.up = { peer, adjRibOut: new AdjRibOut() };
    tables.owed = new Set(families);
    tables.walk = new Map([...families].map((family) => [family, 'compare']));
    for (const family of ADDRESS_FAMILIES) {
      const kept = families.has(family) && peer.session.gracefulRestart?.forwardingKept.get(family) === true;
      if (!kept) this.#forget(tables.adjRibIn.sweepStale(family));
    }
    this.#deferral.peerUp(peer.name, peer.session);
  }

  /**
   * `graceful`: the paths of the families that the peer restarts for stay, marked stale (RFC 4724 §4.2). `sameRestart`:
   * what was stale already is no leftover of an earlier restart, as when one of two colliding connections gives way.
   */
  peerDown(name: string, { graceful, sameRestart }: SessionEnd): void {
    const tables = this.#peers.get(name);
    if (tables?.up === undefined) return;
    const restart = tables.up.peer.session.gracefulRestart;
    tables.up = undefined;
    for (const family of ADDRESS_FAMILIES) {
      const keep = graceful && restart?.forwardingKept.has(family) === true;
      this.#forget(keep ? tables.adjRibIn.markStale(family, sameRestart) : tables.adjRibIn.clear(family));
    }
  }

  /** The peer is not configured any more. */
  peerRemoved(name: string): void {
    const tables = this.#peers.get(name);
    if (tables !== undefined)
      for (const family of ADDRESS_FAMILIES) this.#forget(tables.adjRibIn.clear(family));
    this.#peers.delete(name);
    this.#deferral.peerRemoved(name);
  }

  /** How many paths of the peer are marked stale. */
  staleCount(name: string): number {
    const adjRibIn = this.#peers.get(name)?.adjRibIn;
    return ADDRESS_FAMILIES.reduce((sum, family) => sum + (adjRibIn?.staleCount(family) ?? 0), 0);
  }

  /** The restart timer, or the stale timer, has run out. */
  sweepStale(name: string): void {
    const tables = this.#peers.get(name);
    if (tables !== undefined)
      for (const family of ADDRESS_FAMILIES) this.#forget(tables.adjRibIn.sweepStale(family));
  }

  /** Routes of one UPDATE, up to the limit: what is beyond it is not taken in. */
  update(name: string, changes: RouteChanges): PrefixExcess | undefined {
    const tables = this.#peers.get(name);
    if (tables?.up === undefined) return undefined;
    const { peer } = tables.up;
    for (const { family, prefixes } of changes.withdrawn) {
      for (const prefix of prefixes) this.#withdraw(tables, family, prefix);
    }
    for (const { family, prefixes, attributes } of changes.announced) {
      for (const prefix of prefixes) {
        const path = importPath(peer, family, prefix, attributes, this.#context);
        if (tables.adjRibIn.set(path)) this.#locRib.set(path);
        const excess = excessOf(tables.adjRibIn, family, peer.config);
        if (excess !== undefined) return excess;
      }
    }
    for (const family of changes.endOfRib) {
      this.#forget(tables.adjRibIn.sweepStale(family));
      this.#deferral.endOfRib(name, family);
    }
    return undefined;
  }

  /** The peer asked for a family again (RFC 2918): all of it is sent, changed or not. */
  refresh(name: string, family: AddressFamily): void {
    const tables = this.#peers.get(name);
    if (tables?.up?.peer.session.context.families.has(family) === true) tables.walk.set(family, 'resend');
  }

  /** The peer sends a family again (RFC 7313 §4): what has not come by `refreshEnds` is gone. */
  refreshBegins(name: string, family: AddressFamily): void {
    this.#peers.get(name)?.adjRibIn.markStale(family, true);
  }

  refreshEnds(name: string, family: AddressFamily): void {
    const tables = this.#peers.get(name);
    if (tables !== undefined) this.#forget(tables.adjRibIn.sweepStale(family));
  }

  /** Policies and the like have changed: every path of the peer is judged again, both ways; the session stays. */
  reconfigure(name: string, config: RibPeerConfig): PrefixExcess | undefined {
    const tables = this.#peers.get(name);
    if (tables?.up === undefined) return undefined;
    this.#change(tables, { ...tables.up.peer, config });
    this.#importAgain(tables);
    const excesses = ADDRESS_FAMILIES.map((family) => excessOf(tables.adjRibIn, family, config));
    return excesses.find((excess) => excess !== undefined);
  }

  /** Our own addresses are others now: what they are a next hop of is judged again. */
  setLocalAddresses(localAddresses: ReadonlySet<string>): void {
    if (isSameSet(localAddresses, this.#context.localAddresses)) return;
    this.#context = { ...this.#context, localAddresses };
    for (const tables of this.#peers.values()) this.#importAgain(tables);
  }

  /** Our next hops towards the peer are others now: what it was told with the old ones is told again. */
  setNextHopSelf(name: string, nextHopSelf: RibPeer['nextHopSelf']): void {
    const tables = this.#peers.get(name);
    if (tables?.up === undefined) return;
    const texts = (hops: RibPeer['nextHopSelf']): Set<string> =>
      new Set([...hops].map(([family, hop]) => `${family} ${hop.value}`));
    if (isSameSet(texts(nextHopSelf), texts(tables.up.peer.nextHopSelf))) return;
    this.#change(tables, { ...tables.up.peer, nextHopSelf });
  }

  /** Decides what is dirty and gathers what has to be said; nothing of it is said twice. */
  flush(): Flush {
    const isDeferred = (family: AddressFamily): boolean => this.#deferral.isDeferred(family);
    const { decided, forwarding } = this.#locRib.decideDirty(isDeferred);
    const updatesByPeer = new Map<string, PeerUpdates>();
    for (const [name, tables] of this.#peers) {
      const updates = this.#updatesFor(tables, decided, isDeferred);
      if (updates !== undefined) updatesByPeer.set(name, updates);
    }
    return { updatesByPeer, forwarding };
  }

  adjRibIn(name: string): AdjRibIn | undefined {
    return this.#peers.get(name)?.adjRibIn;
  }

  adjRibOut(name: string): AdjRibOut | undefined {
    return this.#peers.get(name)?.up?.adjRibOut;
  }

  /** How many destinations there are. */
  get size(): number {
    return this.#locRib.size;
  }

  destinations(): Iterable<Destination> {
    return this.#locRib.destinations();
  }

  destination(prefix: Cidr): Destination | undefined {
    return this.#locRib.get(prefixKey(prefix));
  }

  /** What the peer has been told is compared with what it would be told now. */
  #change(tables: PeerTables, peer: RibPeer): void {
    if (tables.up === undefined) return;
    tables.up = { ...tables.up, peer };
    for (const family of peer.session.context.families) {
      if (!tables.walk.has(family)) tables.walk.set(family, 'compare');
    }
  }

  #importAgain({ up, adjRibIn }: PeerTables): void {
    if (up === undefined) return;
    for (const path of [...adjRibIn.paths()]) {
      const again = {
        ...importPath(up.peer, path.family, path.prefix, path.received, this.#context),
        stale: path.stale,
      };
      if (adjRibIn.set(again)) this.#locRib.set(again);
    }
  }

  #updatesFor(
    tables: PeerTables,
    decided: ReadonlyMap<string, Destination>,
    isDeferred: (family: AddressFamily) => boolean,
  ): PeerUpdates | undefined {
    if (tables.up === undefined) return undefined;
    const { peer, adjRibOut } = tables.up;
    const walks = new Map([...tables.walk].filter(([family]) => !isDeferred(family)));
    const endOfRib = [...tables.owed].filter((family) => !isDeferred(family));
    for (const destination of decided.values()) {
      if (!walks.has(destination.family)) tell(destination, peer, adjRibOut, false);
    }
    if (walks.size > 0) this.#walk(walks, decided, peer, adjRibOut);
    for (const family of walks.keys()) tables.walk.delete(family);
    for (const family of endOfRib) tables.owed.delete(family);
    const updates = adjRibOut.drain(peer.session.context, endOfRib);
    return updates.messages.length === 0 ? undefined : updates;
  }

  /** Compares whole families, and what has just lost its last path with them. */
  #walk(
    walks: ReadonlyMap<AddressFamily, 'compare' | 'resend'>,
    decided: ReadonlyMap<string, Destination>,
    peer: RibPeer,
    adjRibOut: AdjRibOut,
  ): void {
    const gone = [...decided]
      .filter(([key]) => this.#locRib.get(key) === undefined)
      .map(([, destination]) => destination);
    for (const destination of [...this.#locRib.destinations(), ...gone]) {
      const walk = walks.get(destination.family);
      if (walk !== undefined) tell(destination, peer, adjRibOut, walk === 'resend');
    }
  }

  #withdraw(tables: PeerTables, family: AddressFamily, prefix: Cidr): void {
    const path = tables.adjRibIn.get(family, prefixKey(prefix));
    if (path === undefined) return;
    tables.adjRibIn.delete(family, prefix);
    this.#locRib.delete(path);
  }

  #forget(paths: readonly Path[]): void {
    for (const path of paths) this.#locRib.delete(path);
  }

  #tables(name: string): PeerTables {
    let tables = this.#peers.get(name);
    if (tables === undefined) {
      tables = { adjRibIn: new AdjRibIn(), up: undefined, owed: new Set(), walk: new Map() };
      this.#peers.set(name, tables);
    }
    return tables;
  }
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

function excessOf(
  adjRibIn: AdjRibIn,
  family: AddressFamily,
  { maxPrefixes }: RibPeerConfig,
): PrefixExcess | undefined {
  return adjRibIn.announcedCount(family) > maxPrefixes ? { family, limit: maxPrefixes } : undefined;
}

function tell(destination: Destination, peer: RibPeer, adjRibOut: AdjRibOut, force: boolean): void {
  const { best } = destination.decision;
  const advertisement = best === undefined ? undefined : advertise(best, peer);
  const attributes = advertisement?.send === true ? advertisement.attributes : undefined;
  adjRibOut.put(destination.family, destination.prefix, attributes, force);
}

function localPath(route: OriginatedRoute): Path {
  const { prefix, communities, largeCommunities, localPref, multiExitDisc } = route;
  const unspecified: IpAddress = { family: prefix.family, value: 0n };
  const attributes: RouteAttributes = {
    origin: 'igp',
    asPath: [],
    nextHop: unspecified,
    ...(multiExitDisc === undefined ? {} : { multiExitDisc }),
    ...(localPref === undefined ? {} : { localPref }),
    ...(communities === undefined || communities.length === 0 ? {} : { communities }),
    ...(largeCommunities === undefined || largeCommunities.length === 0 ? {} : { largeCommunities }),
  };
  return {
    prefix,
    family: prefix.family === 4 ? 'ipv4Unicast' : 'ipv6Unicast',
    source: { kind: 'local' },
    attributes,
    received: attributes,
    stale: false,
  };
}
