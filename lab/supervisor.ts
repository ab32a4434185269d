// Keeps one program of a lab host running: starts it, starts it again when it ends by itself (with a growing pause, as a
// supervisor on a real host does), stops it for good when told to.

import { Backoff, waitFor } from '../lib/lifecycle/backoff.ts';
import type { ExitStatus } from '../lib/process/process-error.ts';
import { type Service, type ServiceOptions, spawnService } from '../lib/process/service.ts';

const RESTART_PAUSE = { minMs: 100, maxMs: 5_000 };
/** A program that ran this long is taken to be well: its next restart is quick again. */
const WELL_AFTER_MS = 10_000;

export interface SupervisedOptions {
  readonly name: string;
  readonly service: ServiceOptions;
  /** Told of each end that nobody asked for, before the restart. */
  readonly onExit?: (name: string, status: ExitStatus, output: string) => void;
}

/** A supervised program. `start` resolves when it is ready for the first time. */
export class Supervised {
  readonly name: string;
  restarts = 0;
  readonly #options: SupervisedOptions;
  readonly #stopping = new AbortController();
  #service: Service | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SupervisedOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Process id, or undefined between two lives. */
  get pid(): number | undefined {
    return this.#service?.isRunning() === true ? this.#service.pid : undefined;
  }

  output(): string {
    return this.#service?.output() ?? '';
  }

  async start(): Promise<void> {
    const service = await spawnService({ ...this.#options.service, signal: this.#stopping.signal });
    this.#service = service;
    this.#loop = this.#keepRunning(service);
  }

  /** Sends a signal to the program itself; false when it is not running right now. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.#service?.isRunning() !== true) return false;
    this.#service.kill(signal);
    return true;
  }

  /** From now on an end is final; the program itself is left alone. */
  abandon(): void {
    this.#stopping.abort();
  }

  async stop(): Promise<void> {
    this.abandon();
    await this.#service?.stop();
    await this.#loop;
  }

  async #keepRunning(first: Service): Promise<void> {
    const backoff = new Backoff(RESTART_PAUSE);
    const { signal } = this.#stopping;
    let service: Service | undefined = first;
    while (!signal.aborted) {
      const startedAt = performance.now();
      if (service !== undefined) {
        const status: ExitStatus = await service.exited;
        if (signal.aborted) return;
        this.#options.onExit?.(this.name, status, service.output());
        // What it left in its process group must not meet its successor.
        await service.stop();
      }
      if (performance.now() - startedAt > WELL_AFTER_MS) backoff.reset();
      if (!(await waitFor(backoff.next(), signal))) return;
      service = await this.#startAgain(signal);
    }
  }

  /** Not waited for until ready: after a restart that is the business of whoever depends on it. */
  async #startAgain(signal: AbortSignal): Promise<Service | undefined> {
    this.restarts += 1;
    try {
      this.#service = await spawnService({
        ...this.#options.service,
        readyWhen: { kind: 'started' },
        signal,
      });
      return this.#service;
    } catch (error) {
      if (!signal.aborted) this.#options.onExit?.(this.name, { code: null, signal: null }, String(error));
      return undefined;
    }
  }
}
