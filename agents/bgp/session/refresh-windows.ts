// Families of a peer whose routes are all coming again, from BoRR to EoRR (RFC 7313 §4). A peer that never says EoRR is
// not waited for forever.

import type { AddressFamily } from '../packet/iana.ts';

const MAX_MS = 300_000;

export class RefreshWindows {
  readonly #timers = new Map<AddressFamily, NodeJS.Timeout>();
  readonly #onEnd: (family: AddressFamily) => void;

  constructor(onEnd: (family: AddressFamily) => void) {
    this.#onEnd = onEnd;
  }

  /** A second beginning starts over. */
  begin(family: AddressFamily): void {
    clearTimeout(this.#timers.get(family));
    this.#timers.set(
      family,
      setTimeout(() => this.end(family), MAX_MS),
    );
  }

  /** An end without a beginning means nothing. */
  end(family: AddressFamily): void {
    if (!this.#timers.has(family)) return;
    clearTimeout(this.#timers.get(family));
    this.#timers.delete(family);
    this.#onEnd(family);
  }

  /** The session is over: graceful restart says what becomes of its routes. */
  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
