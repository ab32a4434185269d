// Flow records of a host (docs/felix.md "Flow records"): every two seconds what the kernel has counted since, attributed to policies
// and endpoints, goes into the host's ring. Neither a verdict nor a change of policy waits for any of this.

import { RecordRing } from '../../../lib/events/record-ring.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { CompiledWorkloadEndpoint, RuleRef } from '../../../lib/policy/compiled.ts';
import type { RulePlace } from '../../../lib/policy/rule-source.ts';
import type { FlowInput, FlowRecord } from '../../../lib/protocol/flow-record.ts';
import type { DataplaneState } from '../nftables/render/dataplane-state.ts';
import type { BuiltInReasonName, RuleMeaning } from '../nftables/render/numbering.ts';
import { attribute } from './attribution.ts';
import type { EndpointDirectory } from './endpoint-directory.ts';
import type { CountedFlow, FlowReading } from './flow-deltas.ts';
import { StagedCounts } from './staged-counts.ts';
import { stagedOutcome } from './staged-verdicts.ts';

/** What of the dataplane is needed. */
export interface FlowSource {
  readonly state: DataplaneState;
  /** Epochs of which objects may be in the kernel. */
  readonly epochs: readonly number[];
  /** The last epoch of earlier agents; 0 if there was no table of ours. */
  readonly adoptedEpoch: number;
  /** What a rule id of an epoch stands for, of an earlier agent's too. */
  readonly meaningOf: (epoch: number, ruleId: number) => RuleMeaning | undefined;
  /** The epoch whose ids marks of a generation carry. */
  readonly epochOf: (generation: number) => number | undefined;
}

export interface FlowRecorderOptions {
  readonly host: string;
  readonly source: FlowSource;
  readonly directory: EndpointDirectory;
  /** Where a rule is written, if that is known. */
  readonly sourceOf: (ref: RuleRef) => RulePlace | undefined;
  readonly reader: {
    read(epochs: readonly number[], adoptedUpTo: number, withEnds: boolean): Promise<FlowReading>;
  };
  readonly logger: Logger;
  /** Milliseconds between readings; 2000 if left out. */
  readonly intervalMs?: number;
  /** Records that are kept; 8192 if left out. */
  readonly capacity?: number;
  readonly now?: () => Date;
}

/** All since the agent's start. */
export interface FlowTotals {
  /** Connections in records, by verdict. */
  denied: number;
  allowed: number;
  /** Connections beyond what one reading tells. */
  suppressed: number;
  /** Packets that found the kernel's sets full. */
  overflowedDenied: number;
  overflowedBegun: number;
  /** Packets without a route, which no rule sees. */
  withoutRoute: number;
  /** Readings in which ends of allowed flows were lost. */
  lostEnds: number;
  failedReadings: number;
}

const INTERVAL_MS = 2_000;
const POLICY_REASONS: readonly BuiltInReasonName[] = ['noProfileMatched', 'profileMissing'];
const AFTER_SWITCH_MS = 500;
/** Timers may be a little early. */
const CLOCK_SLACK_MS = 100;
const CAPACITY = 8_192;

export class FlowRecorder implements Startable {
  readonly ring: RecordRing<FlowRecord>;
  readonly staged = new StagedCounts();
  readonly #options: FlowRecorderOptions;
  readonly #now: () => Date;
  readonly #totals: FlowTotals = {
    denied: 0,
    allowed: 0,
    suppressed: 0,
    overflowedDenied: 0,
    overflowedBegun: 0,
    withoutRoute: 0,
    lostEnds: 0,
    failedReadings: 0,
  };
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  /** On the monotonic clock; undefined: all of before has been read. */
  #switchedAtMs: number | undefined;
  /** Read before anybody had a name. */
  #held: FlowReading | undefined;
  #problem: string | undefined;

  constructor(options: FlowRecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
    this.ring = new RecordRing(options.host, options.capacity ?? CAPACITY);
  }

  /** Looks at once, as an earlier agent's counts go when this one has made its table. */
  async start(): Promise<void> {
    void this.readNow();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  get totals(): Readonly<FlowTotals> {
    return this.#totals;
  }

  /** Why nothing is recorded now: the last reading failed. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads at once, before what is in the kernel goes; resolves when its records are in the ring. Never rejects. */
  async readNow(): Promise<void> {
    await this.#running;
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#running ??= this.#read().finally(() => {
      this.#running = undefined;
      this.#schedule();
    });
    await this.#running;
  }

  /** Packets under way still count for the epoch before: it is read a moment later, and goes then. */
  onSwitch(): void {
    this.#switchedAtMs = performance.now();
    this.#schedule(AFTER_SWITCH_MS);
  }

  /** What was counted until the last switch has not been read yet. */
  get isBehind(): boolean {
    return this.#switchedAtMs !== undefined && !this.#isStopped;
  }

  #schedule(delayMs = this.#options.intervalMs ?? INTERVAL_MS): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.readNow(), delayMs);
  }

  async #read(): Promise<void> {
    const { source, reader, logger } = this.#options;
    const { isInSync } = source.state;
    // Before that nobody has a name. What the kernel counts after the first look stays there.
    if (!isInSync && this.#held !== undefined) return;
    const beganAtMs = performance.now();
    try {
      const { recordsAllowed } = source.state.felix;
      const reading = await reader.read(source.epochs, source.adoptedEpoch, recordsAllowed);
      if (this.#held !== undefined) this.#take(this.#held);
      this.#held = isInSync ? undefined : reading;
      if (isInSync) this.#take(reading);
      if (beganAtMs - (this.#switchedAtMs ?? 0) >= AFTER_SWITCH_MS - CLOCK_SLACK_MS)
        this.#switchedAtMs = undefined;
      this.#problem = undefined;
    } catch (error) {
      if (this.#isStopped) return;
      this.#totals.failedReadings++;
      if (this.#problem === undefined) logger.warn('flow counters cannot be read, trying again', { error });
      this.#problem = (error as Error).message;
    }
  }

  #take({ flows, suppressed, overflowed, withoutRoute, hasLostEnds }: FlowReading): void {
    this.#totals.suppressed += suppressed;
    this.#totals.overflowedDenied += overflowed.denied;
    this.#totals.overflowedBegun += overflowed.begun;
    this.#totals.withoutRoute += withoutRoute;
    if (hasLostEnds) this.#totals.lostEnds++;
    const endpointOf = endpointsByAddress(this.#options.source.state);
    for (const flow of [...flows].sort((a, b) => b.ageMs - a.ageMs)) this.#record(flow, endpointOf);
  }

  #record(flow: CountedFlow, endpointOf: (address: string) => CompiledWorkloadEndpoint | undefined): void {
    const { source, directory, sourceOf } = this.#options;
    const { state } = source;
    const { endedInGeneration } = flow;
    const epoch = endedInGeneration === undefined ? flow.epoch : (source.epochOf(endedInGeneration) ?? 0);
    const meaning = source.meaningOf(epoch, flow.ruleId);
    const isEnd = endedInGeneration !== undefined;
    const staged = !isEnd && isOfPolicy(meaning) ? this.#stagedOf(flow, endpointOf) : undefined;
    if (!isEnd) this.#totals[flow.isAllowed ? 'allowed' : 'denied'] += flow.connections;
    const verdict = flow.isAllowed ? 'allow' : 'deny';
    // Allowed connections are told if asked for, and where a staged policy would have its say.
    if (flow.isAllowed && !state.felix.recordsAllowed && staged === undefined) return;
    const tierOf = (key: string): string | undefined => state.policies.get(key)?.tier;
    const decidedBy = attribute({ epoch, ruleId: flow.ruleId }, meaning, { tierOf, sourceOf });
    const input: FlowInput = {
      time: new Date(this.#now().getTime() - flow.ageMs).toISOString(),
      verdict,
      protocol: flow.protocol,
      source: { ...directory.find(flow.source), ...portOf(flow.sourcePort) },
      destination: { ...directory.find(flow.destination), ...portOf(flow.destinationPort) },
      ...(flow.icmp === undefined ? {} : { icmp: flow.icmp }),
      decidedBy,
      ...(staged === undefined ? {} : { staged }),
      connections: flow.connections,
      packets: flow.packets,
      bytes: flow.bytes,
      ...(isEnd ? { ended: { packets: flow.replyPackets ?? 0, bytes: flow.replyBytes ?? 0 } } : {}),
      ...(flow.isRepeated ? { repeated: true } : {}),
    };
    this.ring.append((place) => ({ ...input, ...place }));
  }

  #stagedOf(
    flow: CountedFlow,
    endpointOf: (address: string) => CompiledWorkloadEndpoint | undefined,
  ): FlowInput['staged'] {
    const { state } = this.#options.source;
    if (!state.felix.evaluatesStaged || !state.hasStaged) return undefined;
    const outcome = stagedOutcome(state, flow, endpointOf);
    if (outcome !== undefined && !flow.isRepeated)
      this.staged.add(outcome, flow.isAllowed ? 'allow' : 'deny', flow.connections);
    return outcome;
  }
}

/** Policies said so, or their absence did: others would say otherwise. */
function isOfPolicy(meaning: RuleMeaning | undefined): boolean {
  return meaning?.type !== 'builtIn' || POLICY_REASONS.includes(meaning.reason);
}

function portOf(port: number | undefined): { readonly port?: number } {
  return port === undefined ? {} : { port };
}

/** This host's workloads by address, made when first asked. */
export function endpointsByAddress(
  state: DataplaneState,
): (address: string) => CompiledWorkloadEndpoint | undefined {
  let byAddress: Map<string, CompiledWorkloadEndpoint> | undefined;
  return (address) => {
    if (byAddress === undefined) {
      byAddress = new Map();
      for (const endpoint of state.endpoints.values())
        for (const net of [...endpoint.nets4, ...endpoint.nets6])
          byAddress.set(net.slice(0, net.indexOf('/')), endpoint);
    }
    return byAddress.get(address);
  };
}
