// What is started must be stopped: the contract of every long-lived component, and a stack that stops in reverse order.

/** `stop` may be called more than once, waits for what is under way within a bound, and leaves nothing running. */
export interface Startable {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Collects what was started and stops it in reverse order; the first failure is thrown after all were tried. */
export class StopStack {
  readonly #entries: { readonly name: string; readonly stop: () => Promise<void> | void }[] = [];

  push(name: string, stop: () => Promise<void> | void): void {
    this.#entries.push({ name, stop });
  }

  async stop(): Promise<void> {
    const failures: unknown[] = [];
    for (let entry = this.#entries.pop(); entry !== undefined; entry = this.#entries.pop()) {
      try {
        await entry.stop();
      } catch (error) {
        failures.push(new Error(`stopping ${entry.name} failed`, { cause: error }));
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
