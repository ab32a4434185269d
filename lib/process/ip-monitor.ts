// A long-lived `ip -o monitor`: a line for each change of the kernel's network that somebody, ourselves included, has made. It is a
// hint where to look, never the truth: lines may be lost, so who listens looks at the kernel as a whole now and then.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Logger } from '../logging/logger.ts';

const RESTART_MS = 5000;

export interface IpMonitorOptions {
  /** `link`, `address`, `route`, `rule`, `neigh`, `netconf`. */
  readonly objects: readonly string[];
  /** Program and arguments put before `ip`, such as `nsenter --net=…`. */
  readonly commandPrefix?: readonly string[];
  readonly logger: Logger;
  /** Undefined after a restart of the monitor: anything may have changed unseen. */
  readonly onChange: (line: string | undefined) => void;
}

/** The interface that a line about a link or an address is of; undefined where it names none. */
export function interfaceOf(line: string): string | undefined {
  return /^(?:Deleted )?\d+: ([^\s@:]+)/.exec(line)?.[1];
}

export class IpMonitor {
  readonly #options: IpMonitorOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: IpMonitorOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isStopped) return;
    const { commandPrefix = [], objects, logger, onChange } = this.#options;
    const [program = 'ip', ...args] = [...commandPrefix, 'ip', '-o', 'monitor', ...objects];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!this.#isStopped) onChange(line);
    });
    child.on('error', (error) => logger.warn('ip monitor cannot be started', { error }));
    child.on('close', () => {
      if (this.#isStopped) return;
      this.#restart = setTimeout(() => {
        this.start();
        onChange(undefined);
      }, RESTART_MS);
    });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }
}
