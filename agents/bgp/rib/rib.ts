// The routing tables of a speaker in one place: what sessions learn goes in, flush() decides once for all that has
// changed and says what every peer and the kernel are to be told (RFC 4271 §3.2, §9; RFC 4724 §4).
//
//   UPDATE ─► import ─► Adj-RIBs-In, Loc-RIB (decision) ─► update groups (Adj-RIBs-Out) ─► messages
//             once per attribute set       └──────────► forwarding ─► kernel

import type { Cidr } from '../../../lib/net/ip.ts';
import { ADDRESS_FAMILIES, type AddressFamily, unicastFamily } from '../packet/iana.ts';
import type { RouteAttributes, RouteChanges } from '../packet/validate.ts';
import { FamilyTable } from './family-table.ts';
import type { ForwardingChange } from './forwarding.ts';
import type { PeerUpdates } from './group-log.ts';
import { type ImportContext, importerFor } from './import.ts';
import { LOCAL_SOURCE, type OriginatedRoute, OriginatedRoutes } from './originated-routes.ts';
import type { PathSource } from './path.ts';
import { isOverLimit, type PathCounts } from './path-counts.ts';
import { RibFlush } from './rib-flush.ts';
import type { RibPeer, RibPeerConfig } from './rib-peer.ts';
import { type Destination, destinationOf, RibView } from './rib-view.ts';
import { RouteSetTable, SourceSets } from './route-set.ts';
import { SelectionDeferral } from './selection-deferral.ts';
import { UpdateGroups } from './update-groups.ts';
import { type Excess, type ReceivedUpdate, UpdateReceiver } from './update-receiver.ts';

export interface RibOptions extends ImportContext {
  readonly localAsn: number;
  readonly maxPaths: number;
  /** Whether flush() is to tell how packets leave; true if left out. */
  readonly forwards?: boolean;
  /** Octets that one flush writes for the peers of a group, give or take withdrawals and a message; 1 MiB if left out. */
  readonly maxFlushOctets?: number;
}

export interface Flush {
  readonly updatesByPeer: ReadonlyMap<string, PeerUpdates>;
  readonly forwarding: readonly ForwardingChange[];
  /** Prefixes whose attributes no message holds: withdrawn instead (RFC 8654 §5). */
  readonly tooLarge: readonly Cidr[];
  /** There is more to do than one flush should. */
  readonly isPartial: boolean;
}

/** What the end of a session means for the routes that it has brought. */
export interface SessionEnd {
  /** The paths of the families that the peer restarts for stay, marked stale (RFC 4724 §4.2). */
  readonly graceful: boolean;
  /** What was stale already is no leftover of an earlier restart, as when one of two colliding connections gives way. */
  readonly sameRestart: boolean;
}

interface PeerState {
  readonly name: string;
  /** Never given to another peer. */
  readonly index: number;
  /** Families whose refresh has begun since the last flush. */
  readonly refreshing: Set<AddressFamily>;
  /** Set while the session is Established. */
  up: { readonly peer: RibPeer; readonly sets: SourceSets; readonly receiver: UpdateReceiver } | undefined;
}

const MAX_FLUSH_OCTETS = 1024 * 1024;

export class Rib {
  /** The tables for those who look. */
  readonly view: RibView;
  #context: ImportContext;
  readonly #options: RibOptions;
  readonly #sets = new RouteSetTable();
  readonly #tables: Readonly<Record<AddressFamily, FamilyTable>>;
  readonly #groups: UpdateGroups;
  readonly #peers = new Map<string, PeerState>();
  readonly #originated: OriginatedRoutes;
  readonly #flush: RibFlush;
  #nextIndex = LOCAL_SOURCE + 1;
  #deferral = new SelectionDeferral([]);

  constructor(options: RibOptions) {
    this.#context = options;
    this.#options = options;
    const { localAsn, maxPaths, forwards = true } = options;
    const table = (family: AddressFamily): FamilyTable =>
      new FamilyTable(family, this.#sets, { localAsn, maxPaths, forwards });
    this.#tables = { ipv4Unicast: table('ipv4Unicast'), ipv6Unicast: table('ipv6Unicast') };
    this.#groups = new UpdateGroups(
      (family) => this.#tables[family],
      options.maxFlushOctets ?? MAX_FLUSH_OCTETS,
    );
    const isDeferred = (family: AddressFamily): boolean => this.#deferral.isDeferred(family);
    this.#flush = new RibFlush({ tables: this.#tables, groups: this.#groups, isDeferred });
    this.#originated = new OriginatedRoutes(this.#sets, localAsn, (prefix) => this.#tableOf(prefix));
    this.view = new RibView({
      tables: this.#tables,
      groups: this.#groups,
      peers: this.#peers,
      options: { localAsn, maxPaths },
      isDeferred,
    });
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

  /** The prefixes whose every change flushes and updates mention. */
  setWatched(prefixes: readonly Cidr[]): void {
    for (const family of ADDRESS_FAMILIES) this.#tables[family].watched.clear();
    for (const prefix of prefixes) {
      const table = this.#tableOf(prefix);
      table.watched.add(table.reserve(prefix));
    }
  }

  /** The whole set of own prefixes; what is not named any more is withdrawn. */
  setOriginated(routes: readonly OriginatedRoute[]): void {
    this.#originated.set(routes);
  }

  /** A session is Established: its table is due, and stale paths that the peer did not keep forwarding for go at once. */
  peerUp(peer: RibPeer): void {
    const state = this.#state(peer.name);
    const { session } = peer;
    const sets = this.#setsFor(peer, state.index);
    const receiver = new UpdateReceiver({
      context: session.context,
      sets,
      table: (family) => this.#tables[family],
      maxPrefixes: () => state.up?.peer.config.maxPrefixes ?? 0,
      sources: () => this.#peers.size,
    });
    state.up = { peer, sets, receiver };
    for (const family of ADDRESS_FAMILIES) {
      const isNegotiated = session.context.families.has(family);
      const isKept = isNegotiated && session.gracefulRestart?.forwardingKept.get(family) === true;
      if (!isKept) this.#tables[family].sweepStale(state.index);
    }
    this.#groups.join(state.index, peer);
    this.#deferral.peerUp(peer.name, session);
  }

  peerDown(name: string, { graceful, sameRestart }: SessionEnd): void {
    const state = this.#peers.get(name);
    if (state?.up === undefined) return;
    const restart = state.up.peer.session.gracefulRestart;
    state.up = undefined;
    this.#groups.leave(state.index);
    for (const family of ADDRESS_FAMILIES) {
      const isKept = graceful && restart?.forwardingKept.has(family) === true;
      if (isKept) this.#tables[family].markStale(state.index, sameRestart);
      else this.#tables[family].withdrawAll(state.index);
    }
  }

  /** The peer is not configured any more. */
  peerRemoved(name: string): void {
    const state = this.#peers.get(name);
    if (state !== undefined) {
      this.#groups.leave(state.index);
      for (const family of ADDRESS_FAMILIES) {
        this.#tables[family].withdrawAll(state.index);
        this.#tables[family].forgetSource(state.index);
      }
    }
    this.#peers.delete(name);
    this.#deferral.peerRemoved(name);
  }

  /** How many paths of the peer are marked stale. */
  staleCount(name: string): number {
    return ADDRESS_FAMILIES.reduce((sum, family) => sum + this.counts(name, family).stale, 0);
  }

  /** The restart timer, or the stale timer, has run out. */
  sweepStale(name: string): void {
    const state = this.#peers.get(name);
    if (state === undefined) return;
    for (const family of ADDRESS_FAMILIES) this.#tables[family].sweepStale(state.index);
  }

  /**
   * Takes an UPDATE in, up to the limit of prefixes: what is beyond it is not. Undefined if the peer has no session. Throws
   * DecodeError where the session has to be reset.
   */
  receive(name: string, octets: Uint8Array): ReceivedUpdate | undefined {
    const receiver = this.#peers.get(name)?.up?.receiver;
    return receiver === undefined ? undefined : this.#noted(name, receiver.receive(octets));
  }

  /** The same for a decoded message. */
  update(name: string, changes: RouteChanges): ReceivedUpdate | undefined {
    const receiver = this.#peers.get(name)?.up?.receiver;
    return receiver === undefined ? undefined : this.#noted(name, receiver.update(changes));
  }

  /** The peer asked for a family again: all of it is sent, changed or not (RFC 2918), between marks if agreed (RFC 7313). */
  refresh(name: string, family: AddressFamily): void {
    const state = this.#peers.get(name);
    const context = state?.up?.peer.session.context;
    if (state !== undefined && context?.families.has(family) === true)
      this.#groups.refresh(state.index, family, context.enhancedRefresh);
  }

  /** The peer begins to send a family again: what does not come is to go at `refreshEnds` (RFC 7313 §4). */
  refreshBegins(name: string, family: AddressFamily): void {
    const state = this.#peers.get(name);
    // Once a flush: a peer that says it without end must not have the table walked without end.
    if (state?.up === undefined || state.refreshing.has(family)) return;
    state.refreshing.add(family);
    this.#tables[family].markAwaited(state.index);
  }

  refreshEnds(name: string, family: AddressFamily): void {
    const state = this.#peers.get(name);
    if (state?.up !== undefined) this.#tables[family].sweepAwaited(state.index);
  }

  /** The peer's connection takes nothing now, or takes something again: what is for it waits, and is told as it then is. */
  setBehind(name: string, isBehind: boolean): void {
    const state = this.#peers.get(name);
    if (state?.up !== undefined) this.#groups.setBehind(state.index, isBehind);
  }

  /** Whether what is for the peer waits for its connection. */
  isBehind(name: string): boolean {
    const index = this.#peers.get(name)?.index;
    return index !== undefined && this.#groups.isBehind(index);
  }

  /** Policies and the like have changed: every path of the peer is judged again, both ways; the session stays. */
  reconfigure(name: string, config: RibPeerConfig): Excess | undefined {
    const state = this.#peers.get(name);
    if (state?.up === undefined) return undefined;
    this.#change(state, { ...state.up.peer, config });
    this.#importAgain(state);
    for (const family of ADDRESS_FAMILIES) {
      if (isOverLimit(this.counts(name, family), config.maxPrefixes))
        return { of: 'prefixes', family, limit: config.maxPrefixes };
    }
    return undefined;
  }

  /** Our own addresses are others now: what they are a next hop of is judged again. */
  setLocalAddresses(localAddresses: ReadonlySet<string>): void {
    if (isSameSet(localAddresses, this.#context.localAddresses)) return;
    this.#context = { ...this.#context, localAddresses };
    for (const state of this.#peers.values()) this.#importAgain(state);
  }

  /** Our next hops towards the peer are others now: what it was told with the old ones is told again. */
  setNextHopSelf(name: string, nextHopSelf: RibPeer['nextHopSelf']): void {
    const state = this.#peers.get(name);
    if (state?.up !== undefined) this.#change(state, { ...state.up.peer, nextHopSelf });
  }

  /** Decides what is dirty and gathers what has to be said; nothing of it is said twice. */
  flush(): Flush {
    const { builders, forwarding, tooLarge, isPartial } = this.#flush.flush();
    for (const { refreshing } of this.#peers.values()) refreshing.clear();
    const updatesByPeer = new Map<string, PeerUpdates>();
    for (const { name, index } of builders.size === 0 ? [] : this.#peers.values()) {
      const updates = builders.get(index);
      if (updates !== undefined) updatesByPeer.set(name, updates);
    }
    return { updatesByPeer, forwarding, tooLarge, isPartial };
  }

  /** Of what the peer has announced. */
  counts(name: string, family: AddressFamily): Readonly<PathCounts> {
    const index = this.#peers.get(name)?.index;
    return index === undefined ? NO_PATHS : this.#tables[family].counts(index);
  }

  /** How many routes the peer has been told, over both families. */
  toldCount(name: string): number {
    const index = this.#peers.get(name)?.index;
    return index === undefined ? 0 : this.#groups.toldCount(index);
  }

  /** What the peer has been told of the prefix: one attribute set, several with path ids (RFC 7911). */
  told(name: string, prefix: Cidr): readonly RouteAttributes[] {
    const index = this.#peers.get(name)?.index;
    const table = this.#tableOf(prefix);
    const id = table.prefixes.findCidr(prefix);
    return index === undefined || id < 0 ? [] : this.#groups.told(index, table.family, id);
  }

  /** How many destinations there are. */
  get size(): number {
    return ADDRESS_FAMILIES.reduce((sum, family) => sum + this.#tables[family].destinations, 0);
  }

  *destinations(): IterableIterator<Destination> {
    for (const family of ADDRESS_FAMILIES) {
      const table = this.#tables[family];
      for (let id = 0; id < table.prefixes.end; id++) {
        const destination = destinationOf(table, id, this.#options);
        if (destination !== undefined) yield destination;
      }
    }
  }

  destination(prefix: Cidr): Destination | undefined {
    const table = this.#tableOf(prefix);
    const id = table.prefixes.findCidr(prefix);
    return id < 0 ? undefined : destinationOf(table, id, this.#options);
  }

  #noted(name: string, received: ReceivedUpdate): ReceivedUpdate {
    for (const family of received.endOfRib) this.#deferral.endOfRib(name, family);
    return received;
  }

  #change(state: PeerState, peer: RibPeer): void {
    if (state.up === undefined) return;
    state.up = { ...state.up, peer };
    this.#groups.regroup(state.index, peer);
  }

  #importAgain({ up, index }: PeerState): void {
    if (up === undefined) return;
    const { peer, sets } = up;
    sets.judgeAgain(sourceOf(peer), importerFor(peer, this.#context));
    for (const family of ADDRESS_FAMILIES)
      this.#tables[family].importAgain(index, (received, prefix) =>
        sets.forPrefix(sets.own(received), prefix),
      );
  }

  #setsFor(peer: RibPeer, index: number): SourceSets {
    const importer = importerFor(peer, this.#context);
    return new SourceSets(this.#sets, sourceOf(peer), index, this.#options.localAsn, importer);
  }

  #tableOf(prefix: Cidr): FamilyTable {
    return this.#tables[unicastFamily(prefix.family)];
  }

  #state(name: string): PeerState {
    let state = this.#peers.get(name);
    if (state === undefined) {
      state = { name, index: this.#nextIndex++, refreshing: new Set(), up: undefined };
      this.#peers.set(name, state);
    }
    return state;
  }
}

const NO_PATHS: PathCounts = { received: 0, accepted: 0, stale: 0, awaited: 0 };

function sourceOf({ name, address, zone, session, config }: RibPeer): PathSource {
  const { peerIdentifier: identifier, context } = session;
  const { peerType } = context;
  return { kind: 'peer', name, peerType, identifier, address, zone, isClient: config.isClient };
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}
