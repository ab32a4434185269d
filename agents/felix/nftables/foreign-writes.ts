// What others have written into our table, and when it was put right (docs/dataplane.md "Driver", foreign writes).

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { TABLE } from './render/layout.ts';
import { differences, type Listing } from './render/listing.ts';
import type { NftTable } from './render/table.ts';

export interface ForeignWritesOptions {
  readonly writer: Pick<KernelWriterClient, 'foreignRules'>;
  readonly events: EventSink;
  readonly logger: Logger;
  /** What is in the kernel's table, with elements or without; undefined: no table. */
  readonly list: (output: 'json' | 'terseJson') => Promise<Listing | undefined>;
}

/** Objects that an event on drift names. */
const MOST_NAMED = 5;

export class ForeignWrites {
  readonly #options: ForeignWritesOptions;
  #rulesetGeneration: number | undefined;
  /** The kernel has counted more changes than ours. */
  #hasUncounted = false;
  /** Our table was touched, or nobody knows. */
  #mayHaveChanged = true;
  #writes = 0;
  #rulesetWrites = 0;
  /** What of our table somebody else has changed, until it has been put right. */
  #drift: readonly string[] = [];
  #repairs = 0;

  constructor(options: ForeignWritesOptions) {
    this.#options = options;
  }

  /** How often a change by others, of any table, has been seen. */
  get writes(): number {
    return this.#writes;
  }

  /** How often chains or rules of other tables may have changed since the look before. */
  get rulesetWrites(): number {
    return this.#rulesetWrites;
  }

  /** How often what others had changed of our table was put right. */
  get repairs(): number {
    return this.#repairs;
  }

  /** What was written before a listing shows in it. */
  async start(): Promise<void> {
    this.#rulesetGeneration = (await this.#options.writer.foreignRules()).generation;
  }

  /** Each change of any table counts the ruleset's id up by one: by more than one, and somebody else has written too. */
  onCommit(rulesetGeneration: number | undefined): void {
    const expected = this.#rulesetGeneration === undefined ? undefined : this.#rulesetGeneration + 1;
    if (expected !== undefined && rulesetGeneration !== expected) this.#hasUncounted = true;
    this.#rulesetGeneration = rulesetGeneration;
  }

  /**
   * What of our table others have changed since the last look. `programmed` undefined: nothing of it is ours yet, and only whether
   * there is a table counts.
   */
  async check(programmed: NftTable | undefined, epoch: number): Promise<readonly string[]> {
    const { generation: now, chains, table, hasOthers } = await this.#options.writer.foreignRules();
    if (hasOthers) this.#rulesetWrites++;
    if (table !== 'untouched') this.#mayHaveChanged = true;
    // The kernel counts a commit a moment before it tells of it.
    const hasWrites = now !== this.#rulesetGeneration || this.#hasUncounted || table === 'touched';
    if (!hasWrites) return [];
    this.#writes++;
    if (programmed === undefined) {
      const listing = await this.#options.list('terseJson');
      this.#rulesetGeneration = now;
      return listing === undefined ? ['the table'] : [];
    }
    if (!this.#mayHaveChanged) {
      this.#rulesetGeneration = now;
      this.#hasUncounted = false;
      return [];
    }
    const listing = await this.#options.list('json');
    const different =
      listing === undefined
        ? ['the table']
        : [
            ...new Set([
              ...differences(programmed, listing, epoch),
              // One rule in the place of another is as many as before.
              ...chains.filter((chain) => programmed.chains.has(chain)),
            ]),
          ];
    this.#rulesetGeneration = now;
    this.#hasUncounted = false;
    this.#mayHaveChanged = false;
    if (different.length > 0) {
      this.#options.logger.warn('somebody else changed our table', { objects: different.slice(0, 10) });
      this.#drift = different;
    }
    return different;
  }

  /** The table was made anew. */
  onReplaced(): void {
    if (this.#drift.length === 0) return;
    const more = this.#drift.length > MOST_NAMED ? ` and ${this.#drift.length - MOST_NAMED} more` : '';
    this.#options.events.emit({
      component: 'agent',
      kind: 'driftRepaired',
      object: TABLE,
      count: this.#drift.length,
      cause: `${this.#drift.slice(0, MOST_NAMED).join(', ')}${more}`,
    });
    this.#drift = [];
    this.#repairs++;
  }
}
