// Performs plans on the kernel's table through the kernel writer (docs/dataplane.md "Driver"): one plan at a time, from what was
// programmed to what is desired; a refusal or an unknown outcome leads to a full replacement under the next epoch's names.

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { Generations } from './generations.ts';
import { type Commit, commitsOf, elementChanges } from './render/commits.ts';
import type { DataplaneState } from './render/dataplane-state.ts';
import { TABLE, TABLE_NAME } from './render/layout.ts';
import { differences, type Listing, parseListing } from './render/listing.ts';
import { epochOfName, NumbersExhausted } from './render/numbering.ts';
import { chunks, type Operation, record, renderTransaction } from './render/operations.ts';
import {
  OPERATIONS_PER_TRANSACTION,
  type Plan,
  type PlannedTransaction,
  Planner,
  UNREACHABLE_MS,
} from './render/plan.ts';
import { Renderer } from './render/renderer.ts';
import { NftTable } from './render/table.ts';
import { RuleNumbers } from './rule-numbers.ts';

export interface TableDriverOptions {
  readonly writer: KernelWriterClient;
  readonly state: DataplaneState;
  readonly events: EventSink;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
  readonly numberLimit?: number;
  readonly lastGeneration?: number;
  /** Where rule ids are kept; in memory alone if left out. */
  readonly numbers?: RuleNumbers;
  /** Who reads what the sets of an epoch have counted; without one they go as soon as nothing leads to them. */
  readonly countReader?: CountReader;
}

export interface CountReader {
  /** The base chains lead to another epoch from now on: what earlier ones have counted is to be read, and then goes. */
  onSwitch(): void;
  /** What was counted until the last switch has not been read yet. */
  readonly isBehind: boolean;
}

/** What one bringing up to date took. */
export interface TableUpdate {
  readonly transactions: number;
  readonly operations: number;
  /** In the kernel writer, all transactions together. */
  readonly kernelMs: number;
  readonly generation: number;
  readonly generationMoved: boolean;
}

const MOST_ATTEMPTS = 4;
/** How long an earlier epoch waits for whoever reads its counts, and how often that is looked at. */
const KEPT_FOR_READER_MS = 10_000;
const READER_PAUSE_MS = 100;
/** Objects that an event on drift names. */
const MOST_NAMED = 5;
/** How long a refused sweep is left alone. */
const SWEEP_RETRY_MS = 10_000;

export class TableDriver {
  readonly #options: TableDriverOptions;
  readonly #writer: KernelWriterClient;
  readonly #generations: Generations;
  readonly #numbers: RuleNumbers;
  #renderer: Renderer | undefined;
  #planner = new Planner(new NftTable());
  #epoch = 0;
  #adoptedEpoch = 0;
  /** Epochs of which objects may be in the kernel. */
  readonly #presentEpochs = new Set<number>();
  /** What the kernel's fast path compares with, from the commit on. */
  #generation = 0;
  /** A commit's outcome is unknown: the kernel may be a generation ahead. */
  #isGenerationUnknown = false;
  /** When the base chains were led to an epoch, while objects of those before it may be there. */
  #switches: readonly { readonly epoch: number; readonly atMs: number }[] = [];
  #sweepRefusedUntilMs = 0;
  /** Chains with a hook that may be there, and their declarations: they outlive epochs, so what is not wanted is emptied. */
  readonly #baseChains = new Map<string, string>();
  #cleanUpAtMs: number | undefined;
  /** Due with the last update, and not done yet. */
  #cleanUp: readonly PlannedTransaction[] = [];
  #rulesetGeneration: number | undefined;
  /** The kernel has counted more changes than ours. */
  #hasForeignWrite = false;
  #foreignWrites = 0;
  /** Why the next update makes everything anew; undefined: it need not. */
  #replaceBecause: string | undefined = 'start';
  /** What of our table somebody else has changed, until it has been put right. */
  #drift: readonly string[] = [];
  #repairs = 0;
  #leftOut = new Set<string>();

  constructor(options: TableDriverOptions) {
    this.#options = options;
    this.#writer = options.writer;
    this.#generations = new Generations(options.writer, options.lastGeneration);
    this.#numbers = options.numbers ?? new RuleNumbers({ path: undefined, logger: options.logger });
  }

  get renderer(): Renderer | undefined {
    return this.#renderer;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Epochs of which objects may be in the kernel, oldest first. */
  get presentEpochs(): readonly number[] {
    return [...this.#presentEpochs].sort((a, b) => a - b);
  }

  /** The last epoch of earlier agents; 0 if there was no table of ours. */
  get adoptedEpoch(): number {
    return this.#adoptedEpoch;
  }

  get generation(): number {
    return this.#generation;
  }

  /** How often a change by others, of any table, has been seen. */
  get foreignWrites(): number {
    return this.#foreignWrites;
  }

  /** How often what others had changed of our table was put right. */
  get repairs(): number {
    return this.#repairs;
  }

  /** Keys of endpoints that the kernel refuses. */
  get leftOut(): ReadonlySet<string> {
    return this.#leftOut;
  }

  /** Monotonic milliseconds at which `update` should be called even if nothing changes. */
  get dueAtMs(): number | undefined {
    const [oldest] = this.#switches;
    const sweepAtMs =
      oldest === undefined ? undefined : Math.max(oldest.atMs + UNREACHABLE_MS, this.#sweepRefusedUntilMs);
    const times = [sweepAtMs, this.#cleanUpAtMs].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Finds what is there. A table of ours is left to work until the first update; where there is none, one that drops all
   * workload traffic is loaded at once, whatever `state` holds.
   */
  async start(): Promise<void> {
    const carried = await this.#generations.start();
    await this.#numbers.load();
    const listing = await this.#list('terseJson');
    await this.#numbers.keepOnly(new Set([...carried, listing?.generation ?? 0]));
    this.#epoch = this.#numbers.lastEpoch;
    for (const [name, declaration] of listing?.baseChains ?? []) this.#baseChains.set(name, declaration);
    if (listing?.ruleCounts.has('forward') === true) {
      this.#adopt(listing);
      return;
    }
    await this.update();
  }

  /** The next update makes everything anew under the next epoch. */
  replace(why: string): void {
    this.#replaceBecause ??= why;
  }

  /** Brings the kernel to the state. Throws KernelWriteError when even a replacement without the faulty was refused. */
  async update(): Promise<TableUpdate> {
    let lastError: unknown;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      try {
        return await this.#updateOnce();
      } catch (error) {
        lastError = error;
        if (error instanceof NumbersExhausted) {
          this.#options.logger.info('numbers of this epoch are used up', { space: error.space });
          this.#replaceBecause = 'numbers used up';
        } else if (error instanceof KernelWriteError) {
          await this.#onWriteError(error, attempt);
        } else {
          throw error;
        }
      }
    }
    throw lastError;
  }

  /** Looks for changes by others; true if the table had to be marked for replacement. */
  async checkForeignWrites(): Promise<boolean> {
    const { generation: now, chains } = await this.#writer.foreignRules();
    if (now === this.#rulesetGeneration && !this.#hasForeignWrite) return false;
    this.#foreignWrites++;
    if (this.#renderer === undefined) return await this.#checkAdopted(now);
    const listing = await this.#list('json');
    const { programmed } = this.#planner;
    const different =
      listing === undefined
        ? ['the table']
        : [
            ...new Set([
              ...differences(programmed, listing, this.#epoch),
              // One rule in the place of another is as many as before.
              ...chains.filter((chain) => programmed.chains.has(chain)),
            ]),
          ];
    this.#rulesetGeneration = now;
    this.#hasForeignWrite = false;
    if (different.length === 0) return false;
    this.#options.logger.warn('somebody else changed our table', { objects: different.slice(0, 10) });
    this.#drift = different;
    this.replace(`foreign change of ${different.slice(0, 3).join(', ')}`);
    return true;
  }

  /** Before the first in-sync an earlier agent's table is left as it is; but without any, the host would be open. */
  async #checkAdopted(rulesetGeneration: number | undefined): Promise<boolean> {
    this.#rulesetGeneration = rulesetGeneration;
    return (await this.#list('terseJson')) === undefined;
  }

  async #updateOnce(): Promise<TableUpdate> {
    if (this.#isGenerationUnknown) await this.#readGeneration();
    const replacing = this.#replaceBecause;
    const renderer = replacing === undefined ? this.#renderer : await this.#newEpoch();
    if (renderer === undefined) throw new Error('an update without an epoch');
    const changes = this.#options.state.takeChanges();
    // One that was left out and has been written anew gets another chance.
    for (const key of [...changes.endpoints, ...changes.hostEndpoints]) this.#leftOut.delete(key);
    try {
      renderer.update(replacing === undefined ? changes : this.#options.state.everything());
    } catch (error) {
      this.#replaceBecause ??= 'rendering failed';
      throw error;
    }
    const { plan, generationMoved } = await this.#plan(renderer, replacing !== undefined);
    if (plan.isTooLarge) {
      this.#replaceBecause = 'change too large for one transaction';
      return await this.#updateOnce();
    }
    await this.#numbers.note(this.#epoch, renderer.generation, renderer.numbering.takeNewRules());
    const needed = plan.transactions.filter(({ phases }) => !phases.includes('cleanUp'));
    const kernelMs = await this.#perform(needed);
    this.#cleanUp = plan.transactions.filter(({ phases }) => phases.includes('cleanUp'));
    this.#planner.performed(this.#options.nowMs());
    this.#afterUpdate(plan, replacing, generationMoved);
    const operations = needed.reduce((sum, transaction) => sum + transaction.operations.length, 0);
    const transactions = needed.length;
    return { transactions, operations, kernelMs, generation: this.#generation, generationMoved };
  }

  async #newEpoch(): Promise<Renderer> {
    this.#rememberBaseChains();
    this.#epoch++;
    this.#presentEpochs.add(this.#epoch);
    const generation = await this.#generations.next(this.#generation);
    const { state, numberLimit } = this.#options;
    const renderer = new Renderer(state, {
      epoch: this.#epoch,
      generation,
      leftOut: this.#leftOut,
      ...(numberLimit === undefined ? {} : { numberLimit }),
    });
    this.#renderer = renderer;
    this.#planner = new Planner(new NftTable());
    for (const [name, declaration] of this.#baseChains) {
      this.#planner.programmed.setChain({ name, role: 'base', declaration, rules: ['of another epoch'] });
    }
    this.#planner.note(this.#planner.programmed.takeTouched());
    this.#cleanUpAtMs = undefined;
    return renderer;
  }

  /** Wanted or programmed: after an unknown outcome either may be there. */
  #rememberBaseChains(): void {
    const desired = this.#renderer?.table.chains.values() ?? [];
    for (const { name, role, declaration } of [...desired, ...this.#planner.programmed.chains.values()]) {
      if (role === 'base') this.#baseChains.set(name, declaration);
    }
  }

  async #plan(renderer: Renderer, isReplacement: boolean): Promise<{ plan: Plan; generationMoved: boolean }> {
    this.#planner.note(renderer.table.takeTouched());
    const plan = this.#planner.plan(renderer.table, this.#options.nowMs());
    if (isReplacement || plan.isTooLarge || !plan.needsGeneration)
      return { plan, generationMoved: isReplacement };
    renderer.setGeneration(await this.#generations.next(this.#generation));
    this.#planner.note(renderer.table.takeTouched());
    return { plan: this.#planner.plan(renderer.table, this.#options.nowMs()), generationMoved: true };
  }

  async #perform(transactions: readonly PlannedTransaction[]): Promise<number> {
    let kernelMs = 0;
    for (const transaction of transactions) {
      for (const commit of commitsOf(transaction)) {
        kernelMs += await this.#commit(commit);
        record(this.#planner.programmed, commit.operations);
      }
      if (transaction.phases.includes('generation'))
        this.#generation = this.#renderer?.generation ?? this.#generation;
    }
    return kernelMs;
  }

  /** Each change of any table counts the ruleset's id up by one: by more than one, and somebody else has written too. */
  async #commit(commit: Commit): Promise<number> {
    const result =
      commit.kind === 'elements'
        ? await this.#writer.elements(TABLE_NAME, elementChanges(commit.operations))
        : await this.#writer.nft(renderTransaction(commit.operations));
    const expected = this.#rulesetGeneration === undefined ? undefined : this.#rulesetGeneration + 1;
    if (expected !== undefined && result.rulesetGeneration !== expected) this.#hasForeignWrite = true;
    this.#rulesetGeneration = result.rulesetGeneration;
    return result.durationMs;
  }

  #afterUpdate(plan: Plan, replaced: string | undefined, generationMoved: boolean): void {
    const { events } = this.#options;
    const now = this.#options.nowMs();
    this.#cleanUpAtMs = plan.cleanUpInMs === undefined ? undefined : now + plan.cleanUpInMs;
    if (replaced !== undefined) {
      this.#replaceBecause = undefined;
      this.#options.countReader?.onSwitch();
      if (this.#epoch > 1) this.#switches = [...this.#switches, { epoch: this.#epoch, atMs: now }];
      events.emit({
        component: 'agent',
        kind: 'kernelResynced',
        generation: this.#generation,
        cause: replaced,
      });
    }
    if (replaced !== undefined && this.#drift.length > 0) {
      const more = this.#drift.length > MOST_NAMED ? ` and ${this.#drift.length - MOST_NAMED} more` : '';
      const cause = `${this.#drift.slice(0, MOST_NAMED).join(', ')}${more}`;
      events.emit({
        component: 'agent',
        kind: 'driftRepaired',
        object: TABLE,
        count: this.#drift.length,
        cause,
      });
      this.#drift = [];
      this.#repairs++;
    }
    if (generationMoved)
      events.emit({ component: 'agent', kind: 'generationMoved', generation: this.#generation });
  }

  /**
   * Deletes what nothing has led to for a second: of this epoch, and all that earlier ones have left. Whoever waits for an update
   * does not wait for this.
   */
  async sweep(): Promise<void> {
    await this.#performCleanUp();
    const now = this.#options.nowMs();
    const due = this.#switches.filter(({ atMs }) => atMs + UNREACHABLE_MS <= now);
    const switched = due.at(-1)?.epoch;
    if (switched === undefined || now < this.#sweepRefusedUntilMs) return;
    const keptMs = now - (due.at(-1)?.atMs ?? now);
    if (this.#options.countReader?.isBehind === true && keptMs < KEPT_FOR_READER_MS) {
      this.#sweepRefusedUntilMs = now + READER_PAUSE_MS;
      return;
    }
    const listing = await this.#list('terseJson');
    const stale = listing?.objects.filter(({ name }) => (epochOfName(name) ?? switched) < switched) ?? [];
    try {
      for (const operations of splitSweep(stale)) await this.#commit({ kind: 'text', operations });
    } catch (error) {
      if (!(error instanceof KernelWriteError) || error.type.code !== 'refused') throw error;
      this.#options.logger.warn('what earlier epochs left cannot be deleted yet', { error });
      this.#sweepRefusedUntilMs = now + SWEEP_RETRY_MS;
      return;
    }
    this.#switches = this.#switches.filter(({ epoch }) => epoch > switched);
    for (const epoch of this.#presentEpochs) if (epoch < switched) this.#presentEpochs.delete(epoch);
  }

  /** What fails here is made anew with everything else. */
  async #performCleanUp(): Promise<void> {
    const transactions = this.#cleanUp;
    this.#cleanUp = [];
    try {
      await this.#perform(transactions);
    } catch (error) {
      if (error instanceof KernelWriteError) await this.#onWriteError(error, 1);
      throw error;
    }
  }

  async #onWriteError(error: KernelWriteError, attempt: number): Promise<void> {
    if (error.type.code === 'stopped') throw error;
    this.#options.logger.error('kernel write failed', { error, attempt });
    this.#options.events.emit({
      component: 'agent',
      kind: 'kernelRefused',
      cause: error.message.slice(0, 300),
    });
    this.#replaceBecause = `kernel write failed: ${error.type.code}`;
    if (error.type.code !== 'refused') this.#isGenerationUnknown = true;
    if (error.type.code === 'refused' && attempt >= 2) await this.#leaveOutFaulty();
  }

  /** Halves the endpoints, asking the kernel without changing anything, until those that it refuses are known. */
  async #leaveOutFaulty(): Promise<void> {
    const { endpoints, hostEndpoints } = this.#options.state;
    const known = [...endpoints.keys(), ...hostEndpoints.keys()];
    const all = known.filter((key) => !this.#leftOut.has(key));
    const refuses = async (keys: readonly string[]): Promise<string | undefined> => {
      const leftOut = new Set(known.filter((key) => !keys.includes(key)));
      const renderer = new Renderer(this.#options.state, { epoch: this.#epoch + 1, generation: 1, leftOut });
      renderer.update(this.#options.state.everything());
      const planner = new Planner(new NftTable(), { operationsPerTransaction: Number.MAX_SAFE_INTEGER });
      planner.note(renderer.table.takeTouched());
      const { transactions } = planner.plan(renderer.table, 0);
      const operations = transactions.flatMap((transaction) => transaction.operations);
      return await this.#writer.checkNft(renderTransaction(operations));
    };
    // Without any endpoint refused: the fault is in what all share, and leaving endpoints out cannot help.
    if ((await refuses([])) !== undefined) return;
    for (const { key, why } of await faultyOf(all, refuses)) {
      this.#leftOut.add(key);
      this.#options.logger.error('endpoint left out: the kernel refuses it', { endpoint: key, why });
      const cause = why.slice(0, 300);
      this.#options.events.emit({
        component: 'agent',
        kind: 'kernelRefused',
        object: `${hostEndpoints.has(key) ? 'HostEndpoint' : 'WorkloadEndpoint'}/${key}`,
        cause,
      });
    }
  }

  /** The table that is there stamps flows with its own number: one that the agent takes for unused would let them pass unjudged. */
  async #readGeneration(): Promise<void> {
    const forward = parseListing(await this.#writer.nftQuery(`list chain ${TABLE} forward`, 'json'));
    this.#generation = forward?.generation ?? this.#generation;
    this.#isGenerationUnknown = false;
  }

  #adopt(listing: Listing): void {
    this.#epoch = Math.max(this.#epoch, ...listing.epochs);
    this.#adoptedEpoch = this.#epoch;
    for (const epoch of listing.epochs) this.#presentEpochs.add(epoch);
    this.#generation = listing.generation ?? 0;
    this.#options.logger.info('table of an earlier agent found', {
      epoch: this.#epoch,
      generation: this.#generation,
    });
  }

  async #list(output: 'json' | 'terseJson'): Promise<Listing | undefined> {
    return parseListing(await this.#writer.nftQuery(`list table ${TABLE}`, output));
  }
}

async function faultyOf(
  keys: readonly string[],
  refuses: (keys: readonly string[]) => Promise<string | undefined>,
): Promise<readonly { readonly key: string; readonly why: string }[]> {
  const why = keys.length === 0 ? undefined : await refuses(keys);
  if (why === undefined) return [];
  const [only] = keys;
  if (keys.length === 1 && only !== undefined) return [{ key: only, why }];
  const middle = Math.ceil(keys.length / 2);
  return [
    ...(await faultyOf(keys.slice(0, middle), refuses)),
    ...(await faultyOf(keys.slice(middle), refuses)),
  ];
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
