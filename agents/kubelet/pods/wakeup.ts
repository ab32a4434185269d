// A bell with a time limit: whoever waits is woken at once, and a ring while nobody waits is not lost.

export class Wakeup {
  #isRung = false;
  #release: (() => void) | undefined;

  wake(): void {
    this.#isRung = true;
    this.#release?.();
  }

  /** Resolves when the bell was rung since the last wait, or after the time. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#isRung)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#release = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#release = undefined;
    this.#isRung = false;
  }
}
