// How long stale routes of a peer may stay (RFC 4724 §4.2): one timer a peer, by its name.

export class GraceTimers {
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #expired: (name: string) => void;

  constructor(expired: (name: string) => void) {
    this.#expired = expired;
  }

  has(name: string): boolean {
    return this.#timers.has(name);
  }

  /** Instead of the one that runs. */
  start(name: string, milliseconds: number): void {
    this.clear(name);
    const expire = (): void => {
      this.#timers.delete(name);
      this.#expired(name);
    };
    this.#timers.set(name, setTimeout(expire, milliseconds));
  }

  clear(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  clearAll(): void {
    for (const name of [...this.#timers.keys()]) this.clear(name);
  }
}
