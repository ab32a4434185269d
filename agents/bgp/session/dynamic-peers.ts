// Peers that come by themselves from inside a configured prefix: which range an address is of, how many there may be,
// and when one is forgotten.

import { cidrContains, parseScopedIp } from '../../../lib/net/ip.ts';
import { type DynamicRange, dynamicPeerConfig, type PeerConfig } from '../config.ts';
import type { Refusal } from './admission.ts';
import type { PeerSession } from './peer-session.ts';

/** A peer whose session has ended may come back under the same name, with its history. */
const FORGET_MS = 60_000;
/** Connections of dynamic peers that have sent no OPEN yet, in all. */
const MAX_UNOPENED = 200;

export class DynamicPeers {
  /** The longest prefix first. */
  #ranges: readonly DynamicRange[];
  readonly #peersByRange = new Map<string, Set<PeerSession>>();
  readonly #unopened = new Set<PeerSession>();
  readonly #forgetting = new Map<PeerSession, NodeJS.Timeout>();
  readonly #forget: (peer: PeerSession) => void;
  #isStopped = false;

  constructor(ranges: readonly DynamicRange[], forget: (peer: PeerSession) => void) {
    this.#ranges = byLength(ranges);
    this.#forget = forget;
  }

  /** What the peers that are there become under changed ranges; those of no range any more are left out. */
  reconfigure(ranges: readonly DynamicRange[]): PeerConfig[] {
    this.#ranges = byLength(ranges);
    const peers = [...this.#peersByRange.values()].flatMap((ofRange) => [...ofRange]);
    return peers.flatMap(({ config }) => {
      const after = this.#configFor(config.addressText);
      return after?.name === config.name ? [after] : [];
    });
  }

  /** The peer that an unknown address becomes, or why it becomes none. */
  admit(address: string): PeerConfig | Refusal {
    const config = this.#configFor(address);
    if (config?.dynamic === undefined) return 'unknownAddress';
    const limit = this.#ranges.find(({ name }) => name === config.dynamic)?.limit ?? 0;
    if ((this.#peersByRange.get(config.dynamic)?.size ?? 0) >= limit) return 'rangeFull';
    return this.#unopened.size >= MAX_UNOPENED ? 'tooManyUnopened' : config;
  }

  /** Follows a peer's states; those of configured peers are nothing to it. */
  stateChanged(peer: PeerSession): void {
    const { dynamic } = peer.config;
    if (dynamic === undefined || this.#isStopped) return;
    const { state } = peer.status;
    const ofRange = this.#peersByRange.get(dynamic) ?? new Set();
    this.#peersByRange.set(dynamic, ofRange.add(peer));
    if (state === 'OpenSent') this.#unopened.add(peer);
    else this.#unopened.delete(peer);
    clearTimeout(this.#forgetting.get(peer));
    this.#forgetting.delete(peer);
    if (state === 'Idle' || state === 'Active') this.#forgetLater(peer);
  }

  removed(peer: PeerSession): void {
    clearTimeout(this.#forgetting.get(peer));
    this.#forgetting.delete(peer);
    this.#unopened.delete(peer);
    this.#peersByRange.get(peer.config.dynamic ?? '')?.delete(peer);
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#forgetting.values()) clearTimeout(timer);
  }

  /** Whoever never had a session has nothing to be remembered for; what it is held down for is not to be forgotten. */
  #forgetLater(peer: PeerSession): void {
    const expire = (): void => {
      if (peer.isHeldBack) this.#forgetLater(peer);
      else this.#forget(peer);
    };
    this.#forgetting.set(peer, setTimeout(expire, peer.hadSession || peer.isHeldBack ? FORGET_MS : 0));
  }

  #configFor(address: string): PeerConfig | undefined {
    const scoped = parseScopedIp(address);
    if (scoped === undefined) return undefined;
    const range = this.#ranges.find(({ prefix }) => cidrContains(prefix, scoped.address));
    return range === undefined ? undefined : dynamicPeerConfig(range, scoped);
  }
}

function byLength(ranges: readonly DynamicRange[]): readonly DynamicRange[] {
  return [...ranges].sort((a, b) => b.prefix.length - a.prefix.length);
}
