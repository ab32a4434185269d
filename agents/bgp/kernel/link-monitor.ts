// Tells when an interface or an address of the host has changed, by one long-lived `ip monitor link address`.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '../../../lib/logging/logger.ts';

const RESTART_MS = 5000;

export class LinkMonitor {
  readonly #log: Logger;
  readonly #onChange: () => void;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(log: Logger, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  start(): void {
    if (this.#isStopped) return;
    const child = spawn('ip', ['-o', 'monitor', 'link', 'address'], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    // Which change it was does not matter: the kernel is looked at as a whole.
    child.stdout.on('data', () => this.#onChange());
    child.on('error', (error) => this.#log.warn('ip monitor cannot be started', { error }));
    child.on('close', () => {
      if (this.#isStopped) return;
      this.#restart = setTimeout(() => {
        this.start();
        this.#onChange();
      }, RESTART_MS);
    });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }
}
