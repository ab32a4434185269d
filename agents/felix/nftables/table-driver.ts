// Performs plans on the kernel's table through the kernel writer (docs/dataplane.md "Driver"): one plan at a time, from what was
// programmed to what is desired; a refusal or an unknown outcome leads to a full replacement under the next epoch's names.

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { type CountReader, EarlierEpochs } from './earlier-epochs.ts';
import { ForeignWrites } from './foreign-writes.ts';
import { Generations } from './generations.ts';
import { LeftOutEndpoints } from './left-out-endpoints.ts';
import { type Commit, commitsOf, elementChanges } from './render/commits.ts';
import type { DataplaneState } from './render/dataplane-state.ts';
import { closedChains, TABLE, TABLE_NAME } from './render/layout.ts';
import { type Listing, parseListing } from './render/listing.ts';
import { NumbersExhausted } from './render/numbering.ts';
import { type Operation, record, renderTransaction } from './render/operations.ts';
import { type Plan, type PlannedTransaction, Planner, UNREACHABLE_MS } from './render/plan.ts';
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

export class TableDriver {
  readonly #options: TableDriverOptions;
  readonly #writer: KernelWriterClient;
  readonly #generations: Generations;
  readonly #numbers: RuleNumbers;
  #renderer: Renderer | undefined;
  #planner = new Planner(new NftTable());
  #epoch = 0;
  #adoptedEpoch = 0;
  readonly #earlier: EarlierEpochs;
  readonly #foreign: ForeignWrites;
  /** What the kernel's fast path compares with, from the commit on. */
  #generation = 0;
  /** A commit's outcome is unknown: the kernel may be a generation ahead. */
  #isGenerationUnknown = false;
  /** Chains with a hook that may be there, and their declarations: they outlive epochs, so what is not wanted is emptied. */
  readonly #baseChains = new Map<string, string>();
  #cleanUpAtMs: number | undefined;
  #settleAtMs: number | undefined;
  /** Due with the last update, and not done yet. */
  #cleanUp: readonly PlannedTransaction[] = [];
  /** Why the next update makes everything anew; undefined: it need not. */
  #replaceBecause: string | undefined = 'start';
  readonly #leftOut: LeftOutEndpoints;

  constructor(options: TableDriverOptions) {
    this.#options = options;
    this.#writer = options.writer;
    this.#leftOut = new LeftOutEndpoints(options);
    this.#generations = new Generations(options.writer, {
      keepsMarks: options.state.keepsEstablishedFlows,
      ...(options.lastGeneration === undefined ? {} : { last: options.lastGeneration }),
    });
    this.#earlier = new EarlierEpochs({
      logger: options.logger,
      nowMs: options.nowMs,
      countReader: options.countReader,
      isBaseChain: (name) => this.#planner.programmed.chains.has(name),
      list: () => this.#list('terseJson'),
      commit: (commit) => this.#commit(commit),
    });
    this.#foreign = new ForeignWrites({
      writer: options.writer,
      events: options.events,
      logger: options.logger,
      list: (output) => this.#list(output),
    });
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
    return this.#earlier.present;
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
    return this.#foreign.writes;
  }

  /** How often chains or rules of other tables may have changed since the look before. */
  get rulesetWrites(): number {
    return this.#foreign.rulesetWrites;
  }

  /** How often what others had changed of our table was put right. */
  get repairs(): number {
    return this.#foreign.repairs;
  }

  /** Keys of endpoints that the kernel refuses. */
  get leftOut(): ReadonlySet<string> {
    return this.#leftOut.keys;
  }

  /** Monotonic milliseconds at which `update` should be called even if nothing changes. */
  get dueAtMs(): number | undefined {
    const times = [this.#earlier.dueAtMs, this.#cleanUpAtMs, this.#settleAtMs].filter(
      (time) => time !== undefined,
    );
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Finds what is there. A table of ours is left to work until the first update; where there is none, one that drops all
   * workload traffic is loaded at once, whatever `state` holds.
   */
  async start(): Promise<void> {
    await this.#foreign.start();
    const listing = await this.#list('terseJson');
    const isThere = listing?.ruleCounts.has('forward') === true;
    // What follows takes seconds where many flows are tracked.
    if (!isThere) await this.#close();
    const carried = await this.#generations.start();
    await this.#numbers.load();
    await this.#numbers.keepOnly(new Set([...carried, listing?.generation ?? 0]));
    this.#epoch = this.#numbers.lastEpoch;
    for (const [name, declaration] of listing?.baseChains ?? []) this.#baseChains.set(name, declaration);
    if (isThere) {
      this.#adopt(listing);
      return;
    }
    await this.update();
  }

  async #close(): Promise<void> {
    const chains = closedChains(this.#options.state.felix);
    const operations = chains.flatMap((chain): Operation[] => [
      { type: 'defineChain', chain },
      { type: 'setRules', chain, isNew: true },
    ]);
    await this.#commit({ kind: 'text', operations });
    for (const { name, declaration } of chains) this.#baseChains.set(name, declaration);
  }

  /** The next update makes everything anew under the next epoch. */
  replace(why: string): void {
    this.#replaceBecause ??= why;
  }

  /** Brings the kernel to the state. Throws KernelWriteError when even a replacement without the faulty was refused. */
  async update(): Promise<TableUpdate> {
    return await this.#attempt(() => this.#updateOnce());
  }

  /** What fails is made anew with everything else. */
  async #attempt(first: () => Promise<TableUpdate>): Promise<TableUpdate> {
    let lastError: unknown;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      try {
        return await (attempt === 1 ? first() : this.#updateOnce());
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
    const programmed = this.#renderer && this.#planner.programmed;
    const different = await this.#foreign.check(programmed, this.#epoch);
    // Before the first in-sync an earlier agent's table is left as it is; but without any, the host would be open.
    if (this.#renderer === undefined) return different.length > 0;
    if (different.length > 0) this.replace(`foreign change of ${different.slice(0, 3).join(', ')}`);
    return different.length > 0;
  }

  async #updateOnce(): Promise<TableUpdate> {
    if (this.#isGenerationUnknown) await this.#readGeneration();
    this.#noteScratch();
    const replacing = this.#replaceBecause;
    const renderer = replacing === undefined ? this.#renderer : await this.#newEpoch();
    if (renderer === undefined) throw new Error('an update without an epoch');
    const changes = await this.#leftOut.readmit(this.#options.state.takeChanges(), this.#epoch + 1);
    return await this.#bring(renderer, replacing, () =>
      renderer.update(replacing === undefined ? changes : this.#options.state.everything()),
    );
  }

  /** The kernel to what is rendered. */
  async #bring(renderer: Renderer, replacing: string | undefined, render: () => void): Promise<TableUpdate> {
    try {
      render();
    } catch (error) {
      this.#replaceBecause ??= 'rendering failed';
      throw error;
    }
    const { plan, generationMoved } = await this.#plan(renderer, replacing !== undefined);
    if (replacing === undefined && plan.replaceBecause !== undefined) {
      this.#replaceBecause = plan.replaceBecause;
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

  /** All types and rules of an epoch are of one form. */
  #noteScratch(): void {
    const form = this.#renderer?.numbering.scratch.form;
    const wanted = this.#options.state.felix.scratch;
    if (form !== undefined && form !== wanted) this.replace(`scratch is the packet's ${wanted} now`);
  }

  async #newEpoch(): Promise<Renderer> {
    this.#rememberBaseChains();
    this.#epoch++;
    this.#earlier.add(this.#epoch);
    const generation = await this.#generations.next(this.#generation);
    const { state, numberLimit } = this.#options;
    const renderer = new Renderer(state, {
      epoch: this.#epoch,
      generation,
      leftOut: this.#leftOut.keys,
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
    this.#planner.redivide(renderer.redivision);
    const plan = this.#planner.plan(renderer.table, this.#options.nowMs());
    if (isReplacement || plan.replaceBecause !== undefined || !plan.needsGeneration)
      return { plan, generationMoved: isReplacement };
    renderer.setGeneration(await this.#generations.next(this.#generation));
    this.#planner.note(renderer.table.takeTouched());
    const moved = this.#planner.plan(renderer.table, this.#options.nowMs(), plan.changesSurroundings);
    return { plan: moved, generationMoved: true };
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

  async #commit(commit: Commit): Promise<number> {
    const result =
      commit.kind === 'elements'
        ? await this.#writer.elements(TABLE_NAME, elementChanges(commit.operations))
        : await this.#writer.nft(renderTransaction(commit.operations));
    this.#foreign.onCommit(result.rulesetGeneration);
    return result.durationMs;
  }

  #afterUpdate(plan: Plan, replaced: string | undefined, generationMoved: boolean): void {
    const { events } = this.#options;
    const now = this.#options.nowMs();
    this.#cleanUpAtMs = plan.cleanUpInMs === undefined ? undefined : now + plan.cleanUpInMs;
    if (this.#renderer?.isUnsettled === true) this.#settleAtMs ??= now + UNREACHABLE_MS;
    else this.#settleAtMs = undefined;
    if (replaced !== undefined) {
      this.#replaceBecause = undefined;
      this.#earlier.onSwitch(this.#epoch);
      events.emit({
        component: 'agent',
        kind: 'kernelResynced',
        generation: this.#generation,
        cause: replaced,
      });
      this.#foreign.onReplaced();
    }
    if (generationMoved)
      events.emit({ component: 'agent', kind: 'generationMoved', generation: this.#generation });
  }

  /**
   * Deletes what nothing has led to for a second: of this epoch, and all that earlier ones have left. Whoever waits for an update
   * does not wait for this.
   */
  async sweep(): Promise<void> {
    await this.#tidy();
    await this.#earlier.sweep();
  }

  /** What fails here is made anew with everything else. */
  async #tidy(): Promise<void> {
    await this.#settle();
    const transactions = this.#cleanUp;
    this.#cleanUp = [];
    try {
      await this.#perform(transactions);
    } catch (error) {
      if (error instanceof KernelWriteError) await this.#onWriteError(error, 1);
      throw error;
    }
  }

  /** In a plan of its own, while nothing else waits to be rendered. */
  async #settle(): Promise<void> {
    const [renderer, now] = [this.#renderer, this.#options.nowMs()];
    if (renderer === undefined || this.#settleAtMs === undefined || this.#settleAtMs > now) return;
    const mustWait = this.#options.state.hasChanges || this.#replaceBecause !== undefined;
    this.#settleAtMs = mustWait ? now + UNREACHABLE_MS : undefined;
    if (!mustWait) await this.#attempt(() => this.#bring(renderer, undefined, () => renderer.settle()));
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
    if (error.type.code === 'refused' && attempt >= 2) await this.#leftOut.leaveOut(this.#epoch + 1);
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
    for (const epoch of listing.epochs) this.#earlier.add(epoch);
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
