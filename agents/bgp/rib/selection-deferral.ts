// Restarting speaker (RFC 4724 §4.1): after a restart nothing of a family is selected or sent until every peer has sent
// its End-of-RIB for it, so that routes which the kernel kept are not withdrawn from anybody in between.

import type { NegotiatedSession } from '../fsm/negotiate.ts';
import { ADDRESS_FAMILIES, type AddressFamily } from '../packet/iana.ts';

export class SelectionDeferral {
  readonly #awaited = new Map<AddressFamily, Set<string>>();

  /** `peers`: names of all that are expected back; a peer that stays away is waited for until `expire()`. */
  constructor(peers: readonly string[]) {
    for (const family of peers.length === 0 ? [] : ADDRESS_FAMILIES)
      this.#awaited.set(family, new Set(peers));
  }

  isDeferred(family: AddressFamily): boolean {
    return this.#awaited.has(family);
  }

  get isOver(): boolean {
    return this.#awaited.size === 0;
  }

  /** Not waited for: a peer without graceful restart for the family, and one that has restarted itself. */
  peerUp(name: string, session: NegotiatedSession): void {
    const restart = session.gracefulRestart;
    for (const family of ADDRESS_FAMILIES) {
      const sendsMark = session.context.families.has(family) && restart?.forwardingKept.has(family) === true;
      if (!sendsMark || restart.restarted) this.endOfRib(name, family);
    }
  }

  endOfRib(name: string, family: AddressFamily): void {
    const awaited = this.#awaited.get(family);
    awaited?.delete(name);
    if (awaited?.size === 0) this.#awaited.delete(family);
  }

  peerRemoved(name: string): void {
    for (const family of ADDRESS_FAMILIES) this.endOfRib(name, family);
  }

  /** The selection deferral timer has run out. */
  expire(): void {
    this.#awaited.clear();
  }
}
