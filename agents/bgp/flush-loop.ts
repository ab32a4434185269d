// What is decided goes out: kernel routes in, messages to peers, kernel routes out, one flush after the other.

import type { Logger } from '../../lib/logging/logger.ts';
import { formatCidr } from '../../lib/net/ip.ts';
import type { NegotiatedSession } from './fsm/negotiate.ts';
import type { KernelRoutes } from './kernel/kernel-routes.ts';
import type { PeerUpdates } from './rib/group-log.ts';
import type { Rib } from './rib/rib.ts';
import type { PeerSession } from './session/peer-session.ts';
import type { SpeakerEvents } from './speaker-events.ts';

export interface FlushLoopParts {
  readonly rib: Rib;
  readonly kernel: KernelRoutes;
  readonly peers: ReadonlyMap<string, PeerSession>;
  readonly events: SpeakerEvents;
  readonly log: Logger;
  /** All families are decided and sent: a restart, if there was one, is over. */
  readonly settled: () => Promise<void>;
}

export class FlushLoop {
  /** Flushes so far, and the time that they took. */
  readonly flushes = { count: 0, seconds: 0 };
  readonly #parts: FlushLoopParts;
  #flushing: Promise<void> | undefined;
  #isWanted = false;
  #isStopped = false;

  constructor(parts: FlushLoopParts) {
    this.#parts = parts;
  }

  /**
   * At most one flush at a time; what comes up meanwhile is the next one. The kernel's refusals do not reject it: what does
   * is a broken invariant, after which tables and peers may differ for good. Nothing catches it, so that the process ends,
   * routes stay, and a new one takes them up.
   */
  schedule(): void {
    this.#isWanted = true;
    if (this.#flushing !== undefined || this.#isStopped) return;
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
      if (this.#isWanted && !this.#isStopped) this.schedule();
    });
  }

  /** None begins any more; `stopped()` waits for the one that runs. */
  stop(): void {
    this.#isStopped = true;
  }

  async stopped(): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#isWanted = false;
    if (this.#isStopped) return;
    const { rib, kernel, peers, events, log, settled } = this.#parts;
    const started = performance.now();
    events.flushReceived();
    const sessions = new Map([...peers].map(([name, peer]) => [name, peer.session]));
    const { updatesByPeer, forwarding, tooLarge, isPartial } = rib.flush();
    if (isPartial) this.#isWanted = true;
    if (tooLarge.length > 0) {
      const prefixes = tooLarge.slice(0, 5).map(formatCidr);
      log.warn('attributes too large for some peers, withdrawn instead', { prefixes });
    }
    const installs = forwarding.filter((change) => change.nextHops.length > 0);
    const removals = forwarding.filter((change) => change.nextHops.length === 0);
    await kernel.apply(installs);
    for (const [name, updates] of updatesByPeer) this.#send(name, sessions.get(name), updates);
    await kernel.apply(removals);
    if (!rib.isDeferring && !isPartial) await settled();
    this.flushes.count++;
    this.flushes.seconds += (performance.now() - started) / 1000;
  }

  #send(name: string, session: NegotiatedSession | undefined, updates: PeerUpdates): void {
    const peer = this.#parts.peers.get(name);
    // A session that began while the kernel was busy knows nothing of these; it gets the whole table anyway.
    if (peer?.session === undefined || peer.session !== session) return;
    peer.send(updates.buffers, updates.messages);
    this.#parts.events.sent(peer.config.addressText, updates);
  }
}
