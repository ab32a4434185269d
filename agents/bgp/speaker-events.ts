// The speaker's events (docs/interfaces.md "Events"): one per peer and flush with counts; single routes only for
// watched prefixes, or where a flush carries no more than one.

import type { EventInput, EventSink } from '../../lib/events/event.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import type { KernelResult } from './kernel/kernel-routes.ts';
import type { AddressFamily } from './packet/iana.ts';
import type { Mention, PeerUpdates } from './rib/group-log.ts';
import type { ReceivedUpdate } from './rib/update-receiver.ts';

interface Exchanged {
  announced: number;
  withdrawn: number;
  readonly mentions: Mention[];
  readonly endOfRib: AddressFamily[];
}

export class SpeakerEvents {
  /** Keys of the prefixes whose every change is told. */
  watch: ReadonlySet<string>;
  readonly #sink: EventSink;
  readonly #receivedByPeer = new Map<string, Exchanged>();

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
  received(address: string, update: ReceivedUpdate): void {
    let received = this.#receivedByPeer.get(address);
    if (received === undefined) {
      received = { announced: 0, withdrawn: 0, mentions: [], endOfRib: [] };
      this.#receivedByPeer.set(address, received);
    }
    received.announced += update.announced;
    received.withdrawn += update.withdrawn;
    for (const mention of update.mentions) this.#keepMention(received, mention);
    received.endOfRib.push(...update.endOfRib);
  }

  flushReceived(): void {
    for (const [peer, received] of this.#receivedByPeer) {
      this.#exchange('bgpUpdateReceived', peer, received);
      for (const family of received.endOfRib) this.#endOfRib('endOfRibReceived', peer, family);
    }
    this.#receivedByPeer.clear();
  }

  sent(peer: string, updates: PeerUpdates): void {
    this.#exchange('bgpUpdateSent', peer, updates);
    for (const family of updates.endOfRib) this.#endOfRib('endOfRibSent', peer, family);
  }

  kernel({ installed, withdrawn, durationMs }: KernelResult): void {
    this.#routes('routesInstalled', installed, durationMs);
    this.#routes('routesWithdrawn', withdrawn, durationMs);
  }

  /** The first one may turn out to be the only one; of the others those that are watched. */
  #keepMention({ mentions }: Exchanged, mention: Mention): void {
    if (mentions.length === 0 || this.watch.has(formatCidr(mention.prefix))) mentions.push(mention);
  }

  #exchange(
    kind: 'bgpUpdateSent' | 'bgpUpdateReceived',
    peer: string,
    { announced, withdrawn, mentions }: Pick<PeerUpdates, 'announced' | 'withdrawn' | 'mentions'>,
  ): void {
    const count = announced + withdrawn;
    if (count === 0) return;
    const cause = `announced ${announced}, withdrawn ${withdrawn}`;
    const [first] = mentions;
    const object = count === 1 && first !== undefined ? { object: objectOf(first.prefix) } : {};
    this.#sink.emit({ component: 'bgpd', kind, peer, count, cause, ...object });
    if (count === 1) return;
    for (const { prefix, isAnnounced } of mentions) {
      this.#watched([prefix], (watched) => ({
        ...{ component: 'bgpd', kind, peer, count: 1, object: watched },
        cause: isAnnounced ? 'announced' : 'withdrawn',
      }));
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
      if (this.watch.has(text)) this.#sink.emit(event(objectOf(prefix)));
    }
  }
}

function onlyOne(prefixes: readonly Cidr[]): { readonly object?: string } {
  const [first] = prefixes;
  return prefixes.length === 1 && first !== undefined ? { object: objectOf(first) } : {};
}

function objectOf(prefix: Cidr): string {
  return `Prefix/${formatCidr(prefix)}`;
}
