// Runs phases one after the other and takes time, processor time and memory of the daemon around each; ends early when a
// session is lost or the time is over.

import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds, forgetPeak, peakOctets, residentOctets } from '../process-stats.ts';
import { Peer } from './peer.ts';
import type { PhaseName, PhaseResult, Task, TaskResult } from './protocol.ts';
import { RouteTable } from './route-table.ts';
import { noFaults } from './verify.ts';

/** Nothing more has come for this long: whatever comes twice would have come. */
const QUIET_MS = 60;
/** Connections that are tried at once: bird2 lets no more than 8 wait, and a SYN that is dropped comes again after 1 s. */
const HANDSHAKES = 8;
/** Octets around the prefixes of a set. */
const SET_OCTETS = 100;

export interface Phase {
  readonly name: PhaseName;
  /** Seconds that it took. */
  readonly run: () => Promise<number>;
  /** Judges what has arrived, when all is quiet again. */
  readonly verify?: () => void;
}

/** Why a phase did not end. */
class PhaseError extends Error {
  override readonly name = 'PhaseError';
  readonly isTimeout: boolean;

  constructor(reason: string, isTimeout: boolean) {
    super(reason);
    this.isTimeout = isTimeout;
  }
}

export class Measurement {
  readonly task: Task;
  readonly table: RouteTable;
  /** Senders first. */
  readonly peers: readonly Peer[];
  readonly faults = noFaults();
  endOfRibs = 0;
  readonly #results: PhaseResult[] = [];
  /** Rejects when a session is lost or the time is over. */
  readonly #failed = Promise.withResolvers<never>();

  constructor(task: Task) {
    this.task = task;
    this.table = new RouteTable(task.row);
    const { senders, receivers } = task.row;
    this.peers = Array.from({ length: senders + receivers }, (_, index) => this.#peer(index + 1));
    // Nobody may be waiting when it happens.
    this.#failed.promise.catch(() => undefined);
  }

  /** The phases come from a generator: each is prepared when the one before it has ended. */
  async run(phases: Iterable<Phase>): Promise<TaskResult> {
    const { pid, limitSeconds } = this.task;
    const restOctets = residentOctets(pid);
    forgetPeak(pid);
    const overdue = (): void => this.#failed.reject(new PhaseError(`over ${limitSeconds} s`, true));
    const timer = setTimeout(overdue, 1000 * limitSeconds);
    let failure: TaskResult['failure'];
    let announcePeakOctets: number | undefined;
    for (const phase of phases) {
      try {
        await this.#measure(phase);
      } catch (error) {
        if (!(error instanceof PhaseError)) throw error;
        failure = { phase: phase.name, isTimeout: error.isTimeout, reason: error.message };
        break;
      }
      if (phase.name === 'announce') announcePeakOctets = peakOctets(pid);
    }
    clearTimeout(timer);
    const peak = peakOctets(pid);
    return {
      phases: this.#results,
      restOctets,
      announcePeakOctets: announcePeakOctets ?? peak,
      peakOctets: peak,
      faults: this.faults,
      endOfRibs: this.endOfRibs,
      ...(failure === undefined ? {} : { failure }),
    };
  }

  /** Until nothing has arrived for a while. */
  async quiet(): Promise<void> {
    const total = (): number => this.peers.reduce((sum, peer) => sum + peer.bytesRead, 0);
    for (let before = -1, now = total(); before !== now; before = now, now = total()) await delay(QUIET_MS);
  }

  async #measure({ name, run, verify }: Phase): Promise<void> {
    for (const { inbox } of this.peers) inbox.clear();
    const { pid } = this.task;
    const [daemonBefore, ownBefore] = [cpuSeconds(pid), process.cpuUsage()];
    const seconds = await Promise.race([run(), this.#failed.promise]);
    const own = process.cpuUsage(ownBefore);
    await Promise.race([this.quiet(), this.#failed.promise]);
    this.#results.push({
      name,
      seconds,
      cpuSeconds: cpuSeconds(pid) - daemonBefore,
      generatorCpuSeconds: (own.user + own.system) / 1e6,
    });
    verify?.();
  }

  #peer(index: number): Peer {
    const { family, prefixesPerSet } = this.task.row;
    const octetsPerPrefix = (family === 4 ? 5 : 9) + SET_OCTETS / prefixesPerSet;
    return new Peer({
      index,
      family,
      expectedOctets: Math.ceil(this.table.size * octetsPerPrefix),
      onLost: (peer, reason) =>
        this.#failed.reject(new PhaseError(`lost the session of peer ${peer.index}: ${reason}`, false)),
    });
  }
}

/** Establishes sessions, a few at a time; `then` of each is waited for with the others. */
export async function establishAll<T>(
  peers: readonly Peer[],
  then: (peer: Peer) => Promise<T>,
): Promise<readonly T[]> {
  const left = [...peers];
  const results: Promise<T>[] = [];
  const work = async (): Promise<void> => {
    for (let peer = left.shift(); peer !== undefined; peer = left.shift()) {
      await peer.establish();
      results.push(then(peer));
    }
  };
  await Promise.all(Array.from({ length: HANDSHAKES }, work));
  return await Promise.all(results);
}

/** When the last of the peers has counted what is due to it; monotonic milliseconds. */
export function arrival(
  peers: readonly Peer[],
  what: 'announced' | 'withdrawn',
  due: (peer: Peer) => number,
): Promise<number> {
  let waiting = 0;
  return new Promise((resolve) => {
    for (const peer of peers) {
      const count = due(peer);
      if (peer.inbox[what] >= count) continue;
      waiting++;
      peer.onProgress = () => {
        if (peer.inbox[what] < count) return;
        peer.onProgress = () => undefined;
        waiting--;
        if (waiting === 0) resolve(performance.now());
      };
    }
    if (waiting === 0) resolve(performance.now());
  });
}
