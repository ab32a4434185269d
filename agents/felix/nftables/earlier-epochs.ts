// Epochs of which objects may be in the kernel, and their end: a second after nothing leads to them any more, and as soon as
// whoever reads their counts has done so (docs/dataplane.md "Driver").

import type { Logger } from '../../../lib/logging/logger.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { Commit } from './render/commits.ts';
import type { Listing } from './render/listing.ts';
import { epochOfName } from './render/numbering.ts';
import { chunks, type Operation } from './render/operations.ts';
import { OPERATIONS_PER_TRANSACTION, UNREACHABLE_MS } from './render/plan.ts';

export interface CountReader {
  /** The base chains lead to another epoch from now on: what earlier ones have counted is to be read, and then goes. */
  onSwitch(): void;
  /** What was counted until the last switch has not been read yet. */
  readonly isBehind: boolean;
}

export interface EarlierEpochsOptions {
  readonly logger: Logger;
  readonly nowMs: () => number;
  readonly countReader: CountReader | undefined;
  /** Whether a name without an epoch is one of our own chains, those with a hook. */
  readonly isBaseChain: (name: string) => boolean;
  /** What is in the kernel's table, without elements; undefined: no table. */
  readonly list: () => Promise<Listing | undefined>;
  readonly commit: (commit: Commit) => Promise<unknown>;
}

/** How long an earlier epoch waits for whoever reads its counts, and how often that is looked at. */
const KEPT_FOR_READER_MS = 10_000;
const READER_PAUSE_MS = 100;
/** How long a refused sweep is left alone. */
const SWEEP_RETRY_MS = 10_000;

export class EarlierEpochs {
  readonly #options: EarlierEpochsOptions;
  readonly #present = new Set<number>();
  /** When the base chains were led to an epoch, while objects of those before it may be there. */
  #switches: readonly { readonly epoch: number; readonly atMs: number }[] = [];
  #refusedUntilMs = 0;

  constructor(options: EarlierEpochsOptions) {
    this.#options = options;
  }

  /** The latest among them, oldest first. */
  get present(): readonly number[] {
    return [...this.#present].sort((a, b) => a - b);
  }

  /** Monotonic milliseconds at which `sweep` has something to do. */
  get dueAtMs(): number | undefined {
    const [oldest] = this.#switches;
    return oldest && Math.max(oldest.atMs + UNREACHABLE_MS, this.#refusedUntilMs);
  }

  /** Objects of it may be in the kernel from now on. */
  add(epoch: number): void {
    this.#present.add(epoch);
  }

  /** The base chains lead to it now. */
  onSwitch(epoch: number): void {
    this.#options.countReader?.onSwitch();
    if (epoch > 1) this.#switches = [...this.#switches, { epoch, atMs: this.#options.nowMs() }];
  }

  /** Deletes all that epochs have left which nothing has led to for a second, and what others have put into our table. */
  async sweep(): Promise<void> {
    const now = this.#options.nowMs();
    const due = this.#switches.filter(({ atMs }) => atMs + UNREACHABLE_MS <= now);
    const switched = due.at(-1)?.epoch;
    if (switched === undefined || now < this.#refusedUntilMs) return;
    const keptMs = now - (due.at(-1)?.atMs ?? now);
    if (this.#options.countReader?.isBehind === true && keptMs < KEPT_FOR_READER_MS) {
      this.#refusedUntilMs = now + READER_PAUSE_MS;
      return;
    }
    const listing = await this.#options.list();
    const latest = Math.max(switched, ...this.#present);
    const stale = (listing?.objects ?? []).filter(({ name }) => {
      const epoch = epochOfName(name);
      return epoch === undefined ? !this.#options.isBaseChain(name) : epoch < switched || epoch > latest;
    });
    try {
      for (const operations of splitSweep(stale)) await this.#options.commit({ kind: 'text', operations });
    } catch (error) {
      if (!(error instanceof KernelWriteError) || error.type.code !== 'refused') throw error;
      this.#options.logger.warn('what earlier epochs or others left cannot be deleted yet', { error });
      this.#refusedUntilMs = now + SWEEP_RETRY_MS;
      return;
    }
    this.#switches = this.#switches.filter(({ epoch }) => epoch > switched);
    for (const epoch of this.#present) if (epoch < switched) this.#present.delete(epoch);
  }
}

/** Rules first (they hold chains and sets), then elements (they hold chains), then chains, then sets; cut to what a buffer takes. */
function splitSweep(stale: Listing['objects']): readonly (readonly Operation[])[] {
  const chains = stale.filter(({ kind }) => kind === 'chain');
  const sets = stale.filter(({ kind }) => kind !== 'chain');
  return chunks(
    [
      ...chains.map(({ name }): Operation => ({ type: 'emptyChain', name })),
      ...sets.map(({ kind, name }): Operation => ({ type: 'emptySet', kind, name })),
      ...chains.map(({ name }): Operation => ({ type: 'deleteObject', kind: 'chain', name })),
      ...sets.map(({ kind, name }): Operation => ({ type: 'deleteObject', kind, name })),
    ],
    OPERATIONS_PER_TRANSACTION,
  );
}
