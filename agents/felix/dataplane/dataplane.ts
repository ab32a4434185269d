// Felix's dataplane: takes the calculation graph's flushes and brings tables, links and routes to them, one change at a time;
// what gathers meanwhile is the next one (docs/dataplane.md "Driver"). Untouched before the first in-sync, but for the empty table.

import type { EventSink } from '../../../lib/events/event.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { withLength, withoutLength } from '../../../lib/net/ip.ts';
import type { CompiledWorkloadEndpoint } from '../../../lib/policy/compiled.ts';
import { workloadEndpointKey } from '../../../lib/policy/compiled.ts';
import type { CalcFlush, CalcMessage } from '../calc/messages.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import type { CountReader } from '../nftables/earlier-epochs.ts';
import { HostCheck } from '../nftables/host-check.ts';
import { DataplaneState } from '../nftables/render/dataplane-state.ts';
import type { TableDescription } from '../nftables/render/describe.ts';
import type { RuleMeaning } from '../nftables/render/numbering.ts';
import { RuleNumbers } from '../nftables/rule-numbers.ts';
import { TableDriver } from '../nftables/table-driver.ts';
import type { WireguardOptions } from '../tunnels/tunnels.ts';
import { DataplaneError } from './dataplane-error.ts';
import { EndpointStatusFiles } from './endpoint-status-files.ts';
import { EndpointWaits } from './endpoint-waits.ts';
import { type FlushAck, FlushQueue, round } from './flush-queue.ts';
import { HostNetwork } from './host-network.ts';

export interface DataplaneOptions {
  readonly writer: KernelWriterClient;
  readonly events: EventSink;
  readonly logger: Logger;
  /** Name of this host's Node; without one there are no tunnels. */
  readonly hostname?: string;
  /** Without it WireGuard cannot be had. */
  readonly wireguard?: WireguardOptions;
  /**
   * `judge` (if left out): a policy change acts on live flows. `keep`: a flow that was allowed runs on until it ends, as with
   * Calico; only those of addresses that leave are ended.
   */
  readonly establishedFlows?: 'judge' | 'keep';
  /** A monotonic clock; `performance.now` if left out. */
  readonly nowMs?: () => number;
  /** Milliseconds between looks for foreign writes and missing interfaces; 500 if left out. */
  readonly checkIntervalMs?: number;
  /** Where endpoint status files are written; nowhere if left out. */
  readonly endpointStatusFolder?: string;
  /** Size of each number space; tests make it small. */
  readonly numberLimit?: number;
  /** The highest generation number, 4095 if left out; tests make it small. */
  readonly lastGeneration?: number;
  /** File in which rule ids outlive this process; without one they do not. */
  readonly ruleNumbersFile?: string;
  /** Who reads what the kernel counts of flows. */
  readonly countReader?: CountReader;
}

const CHECK_INTERVAL_MS = 500;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 10_000;

export class Dataplane implements Startable {
  readonly #options: DataplaneOptions;
  readonly #nowMs: () => number;
  readonly #state = new DataplaneState();
  readonly #table: TableDriver;
  readonly #numbers: RuleNumbers;
  readonly #network: HostNetwork;
  readonly #host: HostCheck;
  readonly #statusFiles: EndpointStatusFiles | undefined;
  readonly #changedEndpoints = new Map<string, CompiledWorkloadEndpoint | undefined>();
  readonly #waits: EndpointWaits;
  readonly #flushes: FlushQueue;
  /** What has come since the state was last brought up to date, in order. */
  #incoming: (() => void)[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStarted = false;
  #isStopped = false;
  #hasSweptRoutes = false;
  /** Endpoints without routes, as the kernel refuses what policy makes of them. */
  #leftOut: ReadonlySet<string> = new Set();
  #nextCheckAtMs = 0;
  #mustRetry = false;
  /** Before the first in-sync: what keeps unknown workloads out has been taken away, and is not back yet. */
  #isTableLost = false;
  /** The state has changed by other ways than a flush. */
  #isDirty = false;
  #retryMs = FIRST_RETRY_MS;
  /** Of the round under way, or of its latest step of many. */
  #roundStartedAtMs: number | undefined;
  #foreignChecks = 0;
  #failures = 0;
  readonly #applies = { count: 0, seconds: 0 };
  #lastError: unknown;

  constructor(options: DataplaneOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    const { writer, events, logger, numberLimit, lastGeneration, countReader } = options;
    this.#state.keepsEstablishedFlows = options.establishedFlows === 'keep';
    this.#numbers = new RuleNumbers({ path: options.ruleNumbersFile, logger });
    this.#table = new TableDriver({
      numbers: this.#numbers,
      writer,
      events,
      logger,
      state: this.#state,
      nowMs: this.#nowMs,
      ...(numberLimit === undefined ? {} : { numberLimit }),
      ...(lastGeneration === undefined ? {} : { lastGeneration }),
      ...(countReader === undefined ? {} : { countReader }),
    });
    this.#network = new HostNetwork({
      writer,
      events,
      logger,
      nowMs: this.#nowMs,
      hostname: options.hostname,
      wireguard: options.wireguard,
      onNotice: () => this.#onNotice(),
    });
    this.#waits = new EndpointWaits(writer, this.#state, this.#table, this.#network);
    this.#flushes = new FlushQueue(events, this.#nowMs);
    this.#host = new HostCheck({ writer, logger, events, nowMs: this.#nowMs });
    const { endpointStatusFolder: folder } = options;
    this.#statusFiles = folder === undefined ? undefined : new EndpointStatusFiles(folder, logger);
  }

  /** Host settings, and the empty table where there is none: from here on no unknown workload interface passes a packet. */
  async start(): Promise<void> {
    await this.#host.start();
    await this.#table.start();
    await this.#network.start();
    await this.#network.startConntrack();
    this.#isStarted = true;
    this.#wake();
  }

  /** Resolves when the kernel has it. Rejects with DataplaneError if the dataplane stops first. */
  async apply(flush: CalcFlush): Promise<FlushAck> {
    if (this.#isStopped) throw new DataplaneError({ code: 'stopped' });
    const acknowledged = this.#flushes.add(flush.revision);
    this.#incoming.push(() => {
      this.#state.applyAll(flush.messages);
      for (const message of flush.messages) {
        this.#noteEndpoint(message);
        this.#network.apply(message);
      }
    });
    this.#wake();
    return await acknowledged;
  }

  /** Why the kernel is behind, if it is. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Sentences: what of this host stands in the way of what policy allows. */
  get hostProblems(): readonly string[] {
    return this.#host.problems;
  }

  /** How often what others had changed in the kernel was put right. */
  get repairs(): number {
    return this.#network.repairs + this.#table.repairs + this.#host.repairs;
  }

  /** Of bringing the kernel up to date: how often, how long in all, and how often it failed. */
  get stats(): {
    readonly applies: { readonly count: number; readonly seconds: number };
    readonly failures: number;
  } {
    return { applies: this.#applies, failures: this.#failures };
  }

  /** How long the round under way has come no further: long is a sign that it hangs (Calico's dataplane watchdog). */
  get roundMs(): number {
    return this.#roundStartedAtMs === undefined ? 0 : this.#nowMs() - this.#roundStartedAtMs;
  }

  /** How often the kernel was looked at for foreign writes. */
  get foreignChecks(): number {
    return this.#foreignChecks;
  }

  get network(): HostNetwork {
    return this.#network;
  }

  get table(): TableDriver {
    return this.#table;
  }

  get state(): DataplaneState {
    return this.#state;
  }

  /** What a rule id of an epoch stands for, of an earlier agent's too; undefined if nobody knows any more. */
  meaningOf(epoch: number, ruleId: number): RuleMeaning | undefined {
    return this.#numbers.meaningOf(epoch, ruleId);
  }

  /** The epoch whose ids marks of a generation carry, of an earlier agent's too; undefined if nobody knows any more. */
  epochOf(generation: number): number | undefined {
    return this.#numbers.epochOf(generation);
  }

  /** Keys of policies that staged ones would replace or delete: they decide what is counted for staged verdicts. */
  setReplacedByStaged(keys: ReadonlySet<string>): void {
    this.#incoming.push(() => {
      this.#state.setReplacedByStaged(keys);
      this.#isDirty = true;
    });
    this.#wake();
  }

  /** The state is one and the same while something is made of it: what comes meanwhile waits for this. */
  #takeIncoming(): void {
    const incoming = this.#incoming;
    this.#incoming = [];
    for (const take of incoming) take();
  }

  /** The table with every number resolved, for people; undefined before the first load. */
  describe(): TableDescription | undefined {
    return this.#table.renderer?.describe(this.#numbers.earlier(this.#table.epoch));
  }

  /**
   * What of an endpoint is not in the kernel, asked by key: its own elements, its link, its routes. Empty: it is all there.
   * `minimumRevision`: the endpoint must be at least that of this etcd revision.
   */
  missingOf(key: string, minimumRevision = 0): Promise<readonly string[]> {
    return this.#waits.missingOf(key, minimumRevision);
  }

  /** Resolves when nothing is missing of the endpoint. Throws DataplaneError `endpointMissing` (with what is missing) or `stopped`. */
  waitForEndpoint(key: string, minimumRevision: number, signal: AbortSignal): Promise<void> {
    return this.#waits.waitFor(key, minimumRevision, signal);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#network.stop();
    await this.#running;
    await this.#numbers.close();
    await this.#statusFiles?.stop();
    this.#flushes.stop();
    this.#waits.stop();
  }

  #noteEndpoint(message: CalcMessage): void {
    if (message.type === 'workloadEndpointUpdate') {
      this.#changedEndpoints.set(workloadEndpointKey(message.endpoint.id), message.endpoint);
    } else if (message.type === 'workloadEndpointRemove') {
      this.#changedEndpoints.set(workloadEndpointKey(message.id), undefined);
    }
  }

  #wake(): void {
    if (!this.#isStarted || this.#isStopped || this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#roundStartedAtMs = this.#nowMs();
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      this.#roundStartedAtMs = undefined;
      this.#schedule();
    });
  }

  /** Somebody may have changed the network: the look comes as soon as that has settled. */
  #onNotice(): void {
    if (!this.#isStarted || this.#isStopped || this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isStopped) return;
    const isDue = this.#incoming.length > 0 || (this.#flushes.isWaiting && this.#state.isInSync);
    if (isDue && !this.#mustRetry) {
      this.#wake();
      return;
    }
    const intervalMs = this.#options.checkIntervalMs ?? CHECK_INTERVAL_MS;
    const dueAtMs = Math.min(
      this.#table.dueAtMs ?? Number.POSITIVE_INFINITY,
      this.#nextCheckAtMs,
      this.#hasSweptRoutes ? this.#network.dueAtMs : Number.POSITIVE_INFINITY,
    );
    const leastMs = this.#mustRetry ? this.#retryMs : 1;
    const delayMs = Math.max(leastMs, Math.min(intervalMs, dueAtMs - this.#nowMs()));
    this.#timer = setTimeout(() => this.#wake(), delayMs);
  }

  /** One round: nothing in here throws, as the next round tries again. */
  async #work(): Promise<void> {
    try {
      const isCheckDue = this.#nowMs() >= this.#nextCheckAtMs;
      if (isCheckDue) await this.#checkTables();
      await this.#updateTable(isCheckDue);
      await this.#table.sweep();
      if (this.#state.isInSync) await this.#tendNetwork(isCheckDue);
      // Whoever waits for an endpoint looks again: what it misses may have come by another hand.
      if (isCheckDue) this.#waits.lookAgain();
      this.#mustRetry = false;
      this.#retryMs = FIRST_RETRY_MS;
      this.#lastError = undefined;
    } catch (error) {
      this.#lastError = error;
      this.#failures++;
      if (this.#mustRetry) this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
      this.#mustRetry = true;
      this.#options.logger.error('kernel is behind, trying again', { error });
    }
  }

  async #checkTables(): Promise<void> {
    this.#nextCheckAtMs = this.#nowMs() + (this.#options.checkIntervalMs ?? CHECK_INTERVAL_MS);
    if (await this.#table.checkForeignWrites()) {
      this.#mustRetry = true;
      this.#isTableLost = true;
    }
    await this.#host.look(this.#table.rulesetWrites, this.#state.isInSync ? this.#state.felix : undefined);
    this.#foreignChecks++;
  }

  async #updateTable(isCheckDue: boolean): Promise<void> {
    this.#takeIncoming();
    if (!this.#state.isInSync) {
      // Nothing else is a reason: an earlier agent's table would give way to one without endpoints.
      if (this.#isTableLost) await this.#table.update();
      this.#isTableLost = false;
      return;
    }
    // An update looks itself, as its flushes may have brought endpoints.
    const hasMoved = isCheckDue && !this.#isUpdateDue() && (await this.#lookAtInterfaces());
    if (hasMoved || this.#isUpdateDue()) await this.#update();
  }

  #isUpdateDue(): boolean {
    return this.#flushes.isWaiting || this.#mustRetry || this.#isDirty || this.#isCleanUpDue();
  }

  async #tendNetwork(isCheckDue: boolean): Promise<void> {
    const isLookDue = isCheckDue || this.#network.dueAtMs <= this.#nowMs();
    if (!isLookDue) return;
    // What waits to be written does not wait for a look that fails.
    await this.#syncRoutes();
    await this.#network.look();
    await this.#syncRoutes();
  }

  #isCleanUpDue(): boolean {
    const dueAtMs = this.#table.dueAtMs;
    return dueAtMs !== undefined && dueAtMs <= this.#nowMs();
  }

  async #update(): Promise<void> {
    this.#takeIncoming();
    const flushes = this.#flushes.take();
    this.#isDirty = false;
    const changed = new Map(this.#changedEndpoints);
    this.#changedEndpoints.clear();
    this.#refuseUnsupported();
    const startedAtMs = this.#nowMs();
    try {
      await this.#lookAtInterfaces();
      const update = await this.#table.update();
      this.#applies.count++;
      this.#applies.seconds += (this.#nowMs() - startedAtMs) / 1000;
      await this.#forgetFlows(changed);
      this.#flushes.acknowledge(flushes, update, startedAtMs);
    } catch (error) {
      // Whoever waits goes on waiting; endpoints are noted again unless something newer was said.
      this.#flushes.putBack(flushes);
      for (const [key, endpoint] of changed) {
        if (!this.#changedEndpoints.has(key)) this.#changedEndpoints.set(key, endpoint);
      }
      throw error;
    }
    for (const [key, endpoint] of [...changed, ...this.#admittedOtherwise(changed)]) {
      const programmable = this.#table.leftOut.has(key) ? undefined : endpoint;
      this.#network.setEndpoint(key, programmable);
      if (programmable === undefined) this.#statusFiles?.set(key, undefined);
    }
    this.#leftOut = new Set(this.#table.leftOut);
    this.#network.setFelix(this.#state.felix);
    await this.#syncRoutes();
  }

  /** Workloads that are left out, or are no longer, for what others have changed; what is said anew of one comes with the next update. */
  #admittedOtherwise(changed: ReadonlyMap<string, unknown>): [string, CompiledWorkloadEndpoint][] {
    const { leftOut } = this.#table;
    return [...new Set([...this.#leftOut, ...leftOut])].flatMap((key) => {
      const endpoint = this.#state.endpoints.get(key);
      const isSaid = changed.has(key) || this.#changedEndpoints.has(key);
      const isAsBefore = this.#leftOut.has(key) === leftOut.has(key);
      return endpoint === undefined || isSaid || isAsBefore ? [] : [[key, endpoint]];
    });
  }

  /** Where flows are never judged again, one of an address that leaves must not pass as its next owner's. */
  async #forgetFlows(changed: ReadonlyMap<string, CompiledWorkloadEndpoint | undefined>): Promise<void> {
    if (!this.#state.keepsEstablishedFlows) return;
    const leaving = [...changed].flatMap(([key, endpoint]) =>
      this.#network.routes.leavingAddresses(key, endpoint),
    );
    if (leaving.length > 0) await this.#options.writer.forgetFlows(leaving);
  }

  /** Where host endpoints are known by their addresses alone: which interfaces have those; true if others than before. */
  async #lookAtInterfaces(): Promise<boolean> {
    const nets = [...this.#state.hostEndpoints.values()].flatMap(({ interfaceName, expectedIps }) =>
      interfaceName === undefined ? expectedIps : [],
    );
    if (nets.length === 0) return false;
    const found = await this.#options.writer.interfacesWith(nets.map(withoutLength));
    return this.#state.setHostInterfaces(
      found.map(({ name, addresses }) => ({ name, addresses: addresses.map(withLength) })),
    );
  }

  async #syncRoutes(): Promise<void> {
    const startedAtMs = this.#nowMs();
    const programmed = await this.#network.sync();
    for (const key of programmed) {
      this.#statusFiles?.set(key, this.#state.endpoints.get(key));
      this.#options.events.emit({
        component: 'agent',
        kind: 'endpointProgrammed',
        object: `WorkloadEndpoint/${key}`,
        revision: this.#state.endpoints.get(key)?.revision ?? 0,
        generation: this.#table.generation,
        durationMs: round(this.#nowMs() - startedAtMs),
      });
    }
    this.#waits.lookAgain(programmed);
    if (this.#hasSweptRoutes) return;
    this.#hasSweptRoutes = true;
    this.#statusFiles?.sync();
    const swept = await this.#network.routes.sweep();
    if (swept.length > 0)
      this.#options.logger.info('routes that no endpoint has taken away', { count: swept.length });
  }

  #refuseUnsupported(): void {
    for (const { object, reason } of this.#state.takeUnsupported()) {
      this.#options.logger.warn('not programmed', { object, reason });
      this.#options.events.emit({ component: 'agent', kind: 'kernelRefused', object, cause: reason });
    }
  }
}
