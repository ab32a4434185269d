// The speaker: puts peers, routing tables and kernel together. Whatever happens in one turn of the event loop is decided
// in one flush, which goes out in this order: kernel routes in, messages to peers, kernel routes out.
//
//   sockets ─► PeerSession ─► Rib ─► flush ─┬─► KernelRoutes
//                                           └─► PeerSession ─► sockets

import type { Socket } from 'node:net';
import type { EventSink } from '../../lib/events/event.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { hostCidr, parseCidr } from '../../lib/net/ip.ts';
import { localAddresses, type PeerConfig, type SpeakerConfig } from './config.ts';
import { peerChange } from './config-change.ts';
import { FlushLoop } from './flush-loop.ts';
import type { NegotiatedSession } from './fsm/negotiate.ts';
import { GraceTimers } from './grace-timers.ts';
import { KernelRoutes } from './kernel/kernel-routes.ts';
import { nextHopsTowards } from './next-hops.ts';
import { type AddressFamily, CeaseSubcode } from './packet/iana.ts';
import { Rib, type SessionEnd } from './rib/rib.ts';
import type { Refusal } from './session/admission.ts';
import { DynamicPeers } from './session/dynamic-peers.ts';
import { BgpListener } from './session/listener.ts';
import type { PeerRecord } from './session/peer-record.ts';
import { type PeerHandlers, PeerSession } from './session/peer-session.ts';
import { cease, type PeerStop, shutdown } from './session/stop.ts';
import { SpeakerEvents } from './speaker-events.ts';
import { UpdateIntake } from './update-intake.ts';

export interface SpeakerOptions {
  readonly log: Logger;
  readonly events: EventSink;
  /** The process before this one did not leave: peers may still hold our routes, the kernel theirs. */
  readonly isRestart: boolean;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
}

/** How long stale routes of a peer that is back may wait for their End-of-RIB. */
const STALE_MS = 360_000;

export class Speaker {
  readonly kernel: KernelRoutes;
  readonly listener: BgpListener;
  readonly rib: Rib;
  readonly #log: Logger;
  readonly #events: SpeakerEvents;
  readonly #random: () => number;
  readonly #peers = new Map<string, PeerSession>();
  readonly #peerByAddress = new Map<string, PeerSession>();
  readonly #dynamicPeers: DynamicPeers;
  readonly #graceTimers: GraceTimers;
  readonly #isRestart: boolean;
  readonly #intake: UpdateIntake;
  readonly #flushLoop: FlushLoop;
  #deferralTimer: NodeJS.Timeout | undefined;
  #config: SpeakerConfig;
  #isRestarting = false;
  #hasSwept = false;
  #isStopped = false;

  constructor(config: SpeakerConfig, options: SpeakerOptions) {
    this.#config = config;
    this.#log = options.log;
    this.#random = options.random;
    this.#isRestart = options.isRestart;
    this.#events = new SpeakerEvents(options.events, config.watch);
    this.kernel = new KernelRoutes(config.kernel, options.log, (result) => this.#events.kernel(result));
    this.listener = new BgpListener({
      log: options.log,
      isPeer: (address) => this.#isConfigured(address),
      accept: (socket, address) => this.#accept(socket, address),
    });
    this.#dynamicPeers = new DynamicPeers(config.dynamicPeers, (peer) => this.#removePeer(peer));
    this.rib = new Rib({
      localAsn: config.asn,
      bgpIdentifier: config.routerId,
      maxPaths: config.kernel.maxPaths,
      localAddresses: localAddresses(config),
      forwards: config.kernel.enabled,
    });
    // Stale routes go when the peer does not come back, or does not finish, in time.
    this.#graceTimers = new GraceTimers((name) => {
      this.rib.sweepStale(name);
      this.#flushLoop.schedule();
    });
    this.#intake = new UpdateIntake(this.rib, this.#events, options.log);
    this.#flushLoop = new FlushLoop({
      ...{ rib: this.rib, kernel: this.kernel, peers: this.#peers, events: this.#events, log: options.log },
      settled: () => this.#endRestart(),
    });
    this.#watch(config);
  }

  /** Flushes so far, and the time that they took. */
  get flushes(): FlushLoop['flushes'] {
    return this.#flushLoop.flushes;
  }

  get config(): SpeakerConfig {
    return this.#config;
  }

  get peers(): Iterable<PeerSession> {
    return this.#peers.values();
  }

  /** R bit of our OPENs: until the peers' tables are in. */
  get isRestarting(): boolean {
    return this.#isRestarting;
  }

  peer(name: string): PeerSession | undefined {
    return this.#peers.get(name);
  }

  /** Whether the peer has said the End-of-RIB of every family of its session. */
  hasEndOfRib(name: string): boolean {
    const families = this.#peers.get(name)?.session?.context.families;
    return families !== undefined && this.#intake.hasEndOfRib(name, families);
  }

  /** Begins, with what the kernel still holds of an earlier run. */
  async start(): Promise<void> {
    const left = await this.kernel.start();
    this.#isRestarting = this.#isRestart || left > 0;
    if (this.#isRestarting) {
      this.#log.info('restarting gracefully', { kernelRoutes: left });
      const expected = this.#config.peers.filter(({ enabled }) => enabled);
      this.rib.deferSelection(expected.map(({ name }) => name));
      this.#deferralTimer = setTimeout(() => {
        this.rib.endDeferral();
        this.#flushLoop.schedule();
      }, 1000 * this.#config.selectionDeferralSeconds);
    }
    this.rib.setOriginated(this.#config.originate);
    await this.kernel.configure(this.#config.kernel);
    this.#configureListener();
    for (const peer of this.#config.peers) this.#addPeer(peer);
    this.#flushLoop.schedule();
  }

  /**
   * Takes a whole new configuration. Router id, AS number and the kernel's switch, protocol and path count are the
   * speaker's own: for those the caller starts a new one. Returns what was done to which peer.
   */
  async reconfigure(config: SpeakerConfig): Promise<void> {
    this.#config = config;
    this.#watch(config);
    const addresses = new Set(config.peers.map(({ addressText }) => addressText));
    const dynamic = this.#dynamicPeers.reconfigure(config.dynamicPeers);
    const wanted = [...config.peers, ...dynamic.filter(({ addressText }) => !addresses.has(addressText))];
    const names = new Set(wanted.map(({ name }) => name));
    for (const peer of [...this.#peers.values()]) if (!names.has(peer.name)) this.#removePeer(peer);
    for (const peer of wanted) this.#changePeer(peer);
    this.#configureAddresses();
    this.#configureListener();
    this.rib.setOriginated(config.originate);
    await this.kernel.configure(config.kernel);
    this.#flushLoop.schedule();
  }

  /** Leaves for good: peers drop our routes at once (RFC 8538 hard reset where spoken), the kernel's are withdrawn. */
  async leave(subcode: number = CeaseSubcode.administrativeShutdown): Promise<void> {
    await this.#close({ cease: cease(subcode), hard: true });
    await this.kernel.stop(true);
  }

  /** Goes for a restart: connections close without a word, routes stay here and at the peers. */
  async pause(): Promise<void> {
    await this.#close({});
    await this.kernel.stop(false);
  }

  async #close(stop: PeerStop): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#deferralTimer);
    this.#graceTimers.clearAll();
    this.listener.stop();
    this.#intake.stop();
    this.#flushLoop.stop();
    this.#dynamicPeers.stop();
    for (const peer of this.#peers.values()) peer.stop(stop);
    await this.#flushLoop.stopped();
  }

  #accept(socket: Socket, address: string): 'taken' | Refusal {
    if (this.#isStopped) return 'notNow';
    const known = this.#peerByAddress.get(address);
    if (known !== undefined) return known.accept(socket);
    const config = this.#dynamicPeers.admit(address);
    if (typeof config === 'string') return config;
    const peer = this.#addPeer(config);
    const verdict = peer.accept(socket);
    if (verdict !== 'taken') this.#removePeer(peer);
    return verdict;
  }

  #isConfigured(address: string): boolean {
    const peer = this.#peerByAddress.get(address);
    return peer !== undefined && peer.config.dynamic === undefined;
  }

  #configureAddresses(): void {
    this.rib.setLocalAddresses(localAddresses(this.#config));
    for (const { name, localAddress, session } of this.#peers.values()) {
      if (localAddress === undefined || session === undefined) continue;
      this.rib.setNextHopSelf(name, nextHopsTowards(session, localAddress, this.#config.nextHops));
    }
  }

  #configureListener(): void {
    const { peers, dynamicPeers } = this.#config;
    const networks = [
      ...peers.map(({ address, password }) => ({ network: hostCidr(address), password })),
      ...dynamicPeers.map(({ prefix, password }) => ({ network: prefix, password })),
    ];
    this.listener.protect({
      keys: networks.flatMap(({ network, password }) =>
        password === undefined ? [] : [{ network, password }],
      ),
      ttlSecurity: [...peers, ...dynamicPeers].some(({ ttlSecurity }) => ttlSecurity !== undefined),
    });
    this.listener.configure(this.#config.listen);
  }

  #addPeer(config: PeerConfig, hadSession = false, record?: PeerRecord): PeerSession {
    const identity = {
      routerId: this.#config.routerId,
      isRestarting: () => this.#isRestarting,
      hasKeptForwarding: (had: boolean) => this.#config.kernel.enabled && (had || this.#isRestarting),
    };
    const peer = new PeerSession(config, identity, this.#peerHandlers(), this.#random, hadSession, record);
    this.#peers.set(config.name, peer);
    this.#peerByAddress.set(config.addressText, peer);
    peer.start();
    return peer;
  }

  #removePeer(peer: PeerSession): void {
    peer.stop(
      peer.config.removal === 'graceful' ? {} : { cease: cease(CeaseSubcode.peerDeconfigured), hard: true },
    );
    this.#graceTimers.clear(peer.name);
    this.#dynamicPeers.removed(peer);
    this.#peers.delete(peer.name);
    this.#intake.forget(peer.name);
    this.#forgetAddress(peer);
    this.rib.peerRemoved(peer.name);
  }

  /** A change that needs a new session: routes stay meanwhile where it is still the same speaker at the other end. */
  #replacePeer(peer: PeerSession, config: PeerConfig): void {
    const isSame = peer.config.addressText === config.addressText && peer.config.asn === config.asn;
    const isKept = isSame && config.enabled;
    const reason = config.enabled ? cease(CeaseSubcode.otherConfigurationChange) : shutdown(config);
    peer.stop({ cease: reason, hard: !isKept, keepRoutes: isKept });
    if (!isSame) this.rib.peerRemoved(peer.name);
    this.#forgetAddress(peer);
    this.#dynamicPeers.removed(peer);
    this.#sweepDisabled(config);
    this.#addPeer(config, isSame && peer.hadSession, peer.record);
  }

  /** Its session may be gone already, and its routes wait for it to come back: it shall not. */
  #sweepDisabled({ name, enabled }: PeerConfig): void {
    if (enabled) return;
    this.#graceTimers.clear(name);
    this.rib.sweepStale(name);
  }

  /** Another peer may have taken the address over already. */
  #forgetAddress(peer: PeerSession): void {
    const { addressText } = peer.config;
    if (this.#peerByAddress.get(addressText) === peer) this.#peerByAddress.delete(addressText);
  }

  #changePeer(config: PeerConfig): void {
    const peer = this.#peers.get(config.name);
    if (peer === undefined) {
      this.#addPeer(config);
      return;
    }
    switch (peerChange(peer.config, config)) {
      case 'session':
        this.#replacePeer(peer, config);
        return;
      case 'rib':
        peer.reconfigure(config);
        this.#sweepDisabled(config);
        this.#intake.endIfOver(peer, this.rib.reconfigure(config.name, config.rib));
        return;
      case 'timers':
        peer.reconfigure(config);
        this.#sweepDisabled(config);
        return;
      case 'none':
        return;
    }
  }

  #peerHandlers(): PeerHandlers {
    return {
      up: (peer, session, localAddress) => this.#up(peer, session, localAddress),
      down: (peer, session, end, reason) => this.#down(peer, session, end, reason),
      update: (peer, octets) => this.#update(peer, octets),
      behind: (peer, isBehind) => this.#behind(peer, isBehind),
      refreshAsked: (peer, family) => this.#refreshAsked(peer, family),
      refreshBegins: (peer, family) => this.rib.refreshBegins(peer.name, family),
      refreshEnds: (peer, family) => this.#refreshEnds(peer, family),
      listenProblem: (peer) => this.listener.keyProblem(peer.config.addressText),
      stateChanged: (peer, state) => {
        this.#log.debug('session state', { peer: peer.name, state });
        this.#dynamicPeers.stateChanged(peer);
      },
    };
  }

  #up(peer: PeerSession, session: NegotiatedSession, localAddress: string): void {
    const { name, config } = peer;
    this.#log.info('session established', { peer: name, address: config.addressText });
    this.#events.peerUp(config.addressText, name);
    this.#graceTimers.clear(name);
    this.#intake.begin(name);
    this.rib.peerUp({
      name,
      address: config.address,
      zone: config.zone,
      localAsn: config.localAsn,
      session,
      nextHopSelf: nextHopsTowards(session, localAddress, this.#config.nextHops),
      config: config.rib,
    });
    if (this.rib.staleCount(name) > 0) this.#graceTimers.start(name, STALE_MS);
    this.#flushLoop.schedule();
  }

  #down(peer: PeerSession, session: NegotiatedSession, end: SessionEnd, reason: string): void {
    const { name, config } = peer;
    const { graceful } = end;
    this.#log.info('session down', { peer: name, address: config.addressText, reason, graceful });
    this.#events.peerDown(config.addressText, reason);
    const restartSeconds = session.gracefulRestart?.restartTimeSeconds ?? 0;
    this.rib.peerDown(name, end);
    if (graceful && this.rib.staleCount(name) > 0) this.#graceTimers.start(name, 1000 * restartSeconds);
    this.#flushLoop.schedule();
  }

  #update(peer: PeerSession, octets: Uint8Array): void {
    this.#intake.take(peer, octets);
    if (this.#graceTimers.has(peer.name) && this.rib.staleCount(peer.name) === 0)
      this.#graceTimers.clear(peer.name);
    this.#flushLoop.schedule();
  }

  #behind(peer: PeerSession, isBehind: boolean): void {
    this.#log.info(isBehind ? 'peer does not keep up' : 'peer keeps up again', { peer: peer.name });
    this.rib.setBehind(peer.name, isBehind);
    if (!isBehind) this.#flushLoop.schedule();
  }

  #watch({ watch }: SpeakerConfig): void {
    this.#events.watch = watch;
    this.rib.setWatched([...watch].flatMap((text) => parseCidr(text) ?? []));
  }

  #refreshAsked(peer: PeerSession, family: AddressFamily): void {
    this.rib.refresh(peer.name, family);
    this.#flushLoop.schedule();
  }

  #refreshEnds(peer: PeerSession, family: AddressFamily): void {
    this.rib.refreshEnds(peer.name, family);
    this.#flushLoop.schedule();
  }

  /** The tables are in and selected: what the kernel holds beyond them is stale. */
  async #endRestart(): Promise<void> {
    if (this.#hasSwept) return;
    this.#hasSwept = true;
    this.#isRestarting = false;
    clearTimeout(this.#deferralTimer);
    await this.kernel.sweep();
  }
}
