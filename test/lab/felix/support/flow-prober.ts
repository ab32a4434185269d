// Judges a continuous probe of new and live flows against what each of a row of policies says (docs/dataplane.md "One change, up to
// five transactions"): a packet must meet a verdict that the policy before or the policy after a change gives, and after the
// acknowledgement that of the policy after it alone.
//
// A packet that arrived was judged between its sending and its arrival, of which both are known. One that did not was judged soon after
// it was sent: within LATEST_MS.

import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ProbedFlow, type ProberAnswer, type ProberRequest, RECORD_FIELDS } from './flow-probe.ts';
import type { Namespace } from './namespaces.ts';

/** A policy, from the moment at which the kernel may first follow it. */
interface Era {
  readonly fromMs: number;
  /** Of each flow in turn. */
  readonly allows: readonly boolean[];
  readonly name: string;
  /** When the next one was acknowledged: from then on this one must not be followed. */
  untilMs: number;
}

export interface ProbeReport {
  readonly packets: number;
  readonly arrived: number;
  readonly dropped: number;
  /** Sent while a change was under way. */
  readonly duringChanges: number;
  /** Sentences: packets that met a verdict of no policy that was in force. */
  readonly violations: readonly string[];
  /** What the receiving kernels have counted; as many as arrived, or packets were lost to the probe itself. */
  readonly countedByKernel: number;
}

export function describeProbe({
  packets,
  arrived,
  dropped,
  duringChanges,
  countedByKernel,
}: ProbeReport): string {
  return (
    `${packets} packets, ${arrived} arrived (${countedByKernel} by the receiving kernels), ${dropped} dropped, ` +
    `${duringChanges} while a change was under way`
  );
}

/** How long a drop may take on a busy machine. */
const LATEST_MS = 50;
const MOST_VIOLATIONS = 20;
const START_MS = 20_000;
/** Counted where packets come in, whatever becomes of them behind. */
const COUNTER = `table inet count
delete table inet count
table inet count {
  counter arrived { }
  chain prerouting { type filter hook prerouting priority -500; policy accept; meta l4proto { tcp, udp } fib daddr type local counter name arrived; }
}`;

export class FlowProber {
  readonly #child: ChildProcess;
  readonly #flows: readonly ProbedFlow[];
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #eras: Era[] = [];
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'flow-prober-'));

  private constructor(
    child: ChildProcess,
    flows: readonly ProbedFlow[],
    namespaces: ReadonlyMap<string, Namespace>,
  ) {
    this.#child = child;
    this.#flows = flows;
    this.#namespaces = namespaces;
  }

  /** `allows` is what the policy in force says of each flow. Resolves when packets flow. */
  static async start(
    namespaces: ReadonlyMap<string, Namespace>,
    flows: readonly ProbedFlow[],
    allows: readonly boolean[],
  ): Promise<FlowProber> {
    for (const namespace of namespaces.values()) await namespace.exec('nft', COUNTER);
    const program = path.join(import.meta.dirname, 'flow-prober-process.ts');
    const child = fork(program, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const prober = new FlowProber(child, flows, namespaces);
    const paths = Object.fromEntries([...namespaces].map(([name, namespace]) => [name, namespace.path]));
    try {
      await prober.#ask({ type: 'start', namespaces: paths, flows });
    } catch (error) {
      prober.close();
      throw error;
    }
    prober.#eras.push({ fromMs: 0, allows, name: 'start', untilMs: Number.POSITIVE_INFINITY });
    return prober;
  }

  /** Runs a change after which the policy says this of each flow; it has to end with the acknowledgement. */
  async during(name: string, allows: readonly boolean[], change: () => Promise<unknown>): Promise<void> {
    const before = this.#eras.at(-1);
    const era: Era = { fromMs: nowMs(), allows, name, untilMs: Number.POSITIVE_INFINITY };
    this.#eras.push(era);
    await change();
    if (before !== undefined) before.untilMs = nowMs();
  }

  async stop(): Promise<ProbeReport> {
    const file = path.join(this.#folder, 'records');
    try {
      await this.#ask({ type: 'stop', file });
      const octets = readFileSync(file);
      const records = new Float64Array(octets.buffer, octets.byteOffset, octets.byteLength / 8);
      return { ...this.#judge(records), countedByKernel: await this.#counted() };
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ask(request: ProberRequest): Promise<void> {
    if (!this.#child.connected) return Promise.reject(new Error('the prober has ended'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`prober: no answer to ${request.type}`)), START_MS);
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        this.#child.off('exit', onExit);
        this.#child.off('message', onMessage);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onExit = (code: number | null): void => settle(new Error(`prober ended with ${code}`));
      const onMessage = (_answer: ProberAnswer): void => settle();
      this.#child.once('exit', onExit);
      this.#child.once('message', onMessage);
      this.#child.send(request);
    });
  }

  async #counted(): Promise<number> {
    let sum = 0;
    for (const namespace of this.#namespaces.values()) {
      const text = await namespace.exec('nft', 'list', 'counters', 'table', 'inet', 'count');
      sum += Number(/packets (\d+)/.exec(text)?.[1] ?? 0);
    }
    return sum;
  }

  #judge(records: Float64Array): Omit<ProbeReport, 'countedByKernel'> {
    const counts = { packets: records.length / RECORD_FIELDS, arrived: 0, dropped: 0, duringChanges: 0 };
    const violations: string[] = [];
    // Packets are in order of time: eras that are over are not looked at again.
    let first = 0;
    for (let at = 0; at < records.length; at += RECORD_FIELDS) {
      const [flow = 0, sentMs = 0, doneMs = 0, arrivedMs = 0] = records.subarray(at, at + RECORD_FIELDS);
      while ((this.#eras[first]?.untilMs ?? Number.POSITIVE_INFINITY) < sentMs) first++;
      const hasArrived = arrivedMs > 0;
      counts[hasArrived ? 'arrived' : 'dropped']++;
      const latestMs = hasArrived ? arrivedMs : doneMs + LATEST_MS;
      const inForce = this.#inForce(first, latestMs);
      if (inForce.length > 1) counts.duringChanges++;
      if (inForce.some(({ allows }) => allows[flow] === hasArrived) || violations.length >= MOST_VIOLATIONS)
        continue;
      violations.push(this.#violation(flow, sentMs, hasArrived, inForce));
    }
    return { ...counts, violations };
  }

  /** Policies that the kernel may have followed up to then, from that place in the row on. */
  #inForce(first: number, latestMs: number): readonly Era[] {
    let end = first;
    while ((this.#eras[end]?.fromMs ?? Number.POSITIVE_INFINITY) <= latestMs) end++;
    return this.#eras.slice(first, end);
  }

  #violation(flow: number, sentMs: number, hasArrived: boolean, inForce: readonly Era[]): string {
    const { packet, isLive } = this.#flows[flow] ?? {};
    const ends = `${packet?.from} → ${packet?.to} ${packet?.protocol}/${packet?.destinationPort}`;
    const eras = inForce.map(({ name, fromMs, untilMs }) => {
      return `${name} (${(fromMs - sentMs).toFixed(2)} to ${(untilMs - sentMs).toFixed(2)} ms)`;
    });
    return `${isLive ? 'live' : 'new'} ${ends} ${hasArrived ? 'passed' : 'was dropped'} against ${eras.join(', ')}`;
  }
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
