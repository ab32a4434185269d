// What the benchmark needs of each daemon: started in its namespace as a route reflector (or as one of a mesh), protocol
// only, everything else at its defaults, and waiting for its peers to connect.

import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '../../../lib/process/service.ts';
import { cpuSeconds } from '../process-stats.ts';
import type { Row } from '../rows.ts';

export interface Place {
  /** Network namespace, by name. */
  readonly netns: string;
  /** A folder of its own, for files and sockets. */
  readonly dir: string;
}

export interface RunningDaemon {
  readonly pid: number;
  /** Longest turn of its event loop since it was last asked for, where it tells. */
  readonly longestTurnMs?: () => Promise<number | undefined>;
  /** At once, without a word to its peers. */
  kill(): Promise<void>;
}

export interface Daemon {
  readonly name: string;
  /** What is not at its default, in words. */
  readonly switches: string;
  /** One that passes messages on as they are knows no tables: it can only announce and withdraw. */
  readonly isRelay: boolean;
  version(): Promise<string>;
  start(place: Place, row: Row): Promise<RunningDaemon>;
}

export function onHost({ netns }: Place, argv: readonly string[]): [string, ...string[]] {
  return ['ip', 'netns', 'exec', netns, ...argv];
}

/** As a running daemon, for what it tells by nothing but its process. */
export function running(service: Service): RunningDaemon {
  return {
    pid: service.pid,
    kill: async () => {
      service.kill('SIGKILL');
      await service.exited;
    },
  };
}

const IDLE_POLL_MS = 100;
const IDLE_SHARE = 0.03;
/** One that is still busy then is measured as it is. */
const MAX_LOOKS = 200;

/** Until a process has done next to nothing for three looks in a row: its configuration is read. */
export async function becomesIdle(pid: number): Promise<void> {
  let idle = 0;
  let before = cpuSeconds(pid);
  for (let look = 0; look < MAX_LOOKS && idle < 3; look++) {
    await delay(IDLE_POLL_MS);
    const now = cpuSeconds(pid);
    idle = now - before < (IDLE_SHARE * IDLE_POLL_MS) / 1000 ? idle + 1 : 0;
    before = now;
  }
}
