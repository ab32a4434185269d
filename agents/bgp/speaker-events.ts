// The speaker's events (docs/interfaces.md "Events"): one per peer and flush with counts; single routes only for
// watched prefixes, or where a flush carries no more than one.

import type { EventInput, EventSink } from '../../lib/events/event.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import type { KernelResult } from './kernel/kernel-routes.ts';
import type { AddressFamily } from './packet/iana.ts';
import type { RouteChanges } from './packet/validate.ts';
import type { PeerUpdates } from './rib/adj-rib-out.ts';

interface Received {
  readonly announced: Cidr[];
  readonly withdrawn: Cidr[];
  readonly endOfRib: AddressFamily[];
}

export class SpeakerEvents {
  /** Keys of the prefixes whose every change is told. */
  watch: ReadonlySet<string>;
  readonly #sink: EventSink;
  readonly #receivedByPeer = new Map<string, Received>();

  constructor(sink: EventSink, watch: ReadonlySet<string>) {
    this.#sink = sink;
    this.watch = watch;
  }

  peerUp(address: string, name: string): void {
    this.#sink.emit({ component: 'bgpd', kind: 'peerUp', peer: address, object: `BGPPeer/${name}` });
  }

  peerDown(address: string, cause: string): void {
    this.#sink.emit({ component: 'bgpd', kind: 'peerDown', peer: address, cause });
  }

  /** Gathers what has come from a peer; `flushReceived` tells of it. */
  received(address: string, changes: RouteChanges): void {
    let received = this.#receivedByPeer.get(address);
    if (received === undefined) {
      received = { announced: [], withdrawn: [], endOfRib: [] };
      this.#receivedByPeer.set(address, received);
    }
    for (const { prefixes } of changes.announced) for (const one of prefixes) received.announced.push(one);
    for (const { prefixes } of changes.withdrawn) for (const one of prefixes) received.withdrawn.push(one);
    received.endOfRib.push(...changes.endOfRib);
  }

  flushReceived(): void {
    for (const [peer, { announced, withdrawn, endOfRib }] of this.#receivedByPeer) {
      this.#exchange('bgpUpdateReceived', peer, announced, withdrawn);
      for (const family of endOfRib) this.#endOfRib('endOfRibReceived', peer, family);
    }
    this.#receivedByPeer.clear();
  }

  sent(peer: string, updates: PeerUpdates): void {
    this.#exchange('bgpUpdateSent', peer, updates.announced, updates.withdrawn);
    for (const family of updates.endOfRib) this.#endOfRib('endOfRibSent', peer, family);
  }

  kernel({ installed, withdrawn, durationMs }: KernelResult): void {
    this.#routes('routesInstalled', installed, durationMs);
    this.#routes('routesWithdrawn', withdrawn, durationMs);
  }

  #exchange(
    kind: 'bgpUpdateSent' | 'bgpUpdateReceived',
    peer: string,
    announced: readonly Cidr[],
    withdrawn: readonly Cidr[],
  ): void {
    const count = announced.length + withdrawn.length;
    if (count === 0) return;
    const cause = `announced ${announced.length}, withdrawn ${withdrawn.length}`;
    this.#sink.emit({
      component: 'bgpd',
      kind,
      peer,
      count,
      cause,
      ...onlyOne([...announced, ...withdrawn]),
    });
    if (count === 1) return;
    for (const [prefixes, what] of [
      [announced, 'announced'],
      [withdrawn, 'withdrawn'],
    ] as const) {
      this.#watched(prefixes, (object) => ({ component: 'bgpd', kind, peer, count: 1, cause: what, object }));
    }
  }

  #routes(kind: 'routesInstalled' | 'routesWithdrawn', prefixes: readonly Cidr[], durationMs: number): void {
    if (prefixes.length === 0) return;
    const rounded = Math.round(durationMs * 1000) / 1000;
    const count = prefixes.length;
    this.#sink.emit({ component: 'bgpd', kind, count, durationMs: rounded, ...onlyOne(prefixes) });
    if (count === 1) return;
    this.#watched(prefixes, (object) => ({ component: 'bgpd', kind, count: 1, durationMs: rounded, object }));
  }

  #endOfRib(kind: 'endOfRibSent' | 'endOfRibReceived', peer: string, family: AddressFamily): void {
    this.#sink.emit({ component: 'bgpd', kind, peer, cause: family });
  }

  #watched(prefixes: readonly Cidr[], event: (object: string) => EventInput): void {
    if (this.watch.size === 0) return;
    for (const prefix of prefixes) {
      const text = formatCidr(prefix);
      if (this.watch.has(text)) this.#sink.emit(event(`Prefix/${text}`));
    }
  }
}

function onlyOne(prefixes: readonly Cidr[]): { readonly object?: string } {
  const [first] = prefixes;
  return prefixes.length === 1 && first !== undefined ? { object: `Prefix/${formatCidr(first)}` } : {};
}
