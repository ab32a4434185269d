// What the benchmark tells the generator, and what it answers: one JSON document each, by argument and on stdout.

import type { Row } from '../rows.ts';
import type { Faults } from './verify.ts';

/** In this order. `again` announces once more what was withdrawn: by then the code is warm. */
export const PHASES = ['announce', 'reconnect', 'withdraw', 'again', 'vanish'] as const;
export type PhaseName = (typeof PHASES)[number] | 'establish' | 'join';

export interface Task {
  readonly row: Row;
  /** Of the daemon. */
  readonly pid: number;
  readonly phases: readonly PhaseName[];
  readonly limitSeconds: number;
  /** False for a relay, which passes on what it gets as it is. */
  readonly isReflected: boolean;
}

export interface PhaseResult {
  readonly name: PhaseName;
  /** From the first octet sent to the last prefix at the last receiver. */
  readonly seconds: number;
  /** Of the daemon, until every peer had everything. */
  readonly cpuSeconds: number;
  /** Of the generator, over the same time. */
  readonly generatorCpuSeconds: number;
}

export interface TaskResult {
  readonly phases: readonly PhaseResult[];
  /** Resident octets of the daemon: configured and without a session, the most in `announce`, the most in all. */
  readonly restOctets: number;
  readonly announcePeakOctets: number;
  readonly peakOctets: number;
  readonly faults: Faults;
  /** Peers that got End-of-RIB for their family after they came up. */
  readonly endOfRibs: number;
  /** Why it ended early. */
  readonly failure?: { readonly phase: PhaseName; readonly isTimeout: boolean; readonly reason: string };
}
