// Another implementation's speaker as a process in a host's namespace.

import type { Service } from '../../../lib/process/service.ts';
import type { TestHost, TestNetwork } from './network.ts';

export type Launch = (flags: readonly string[]) => Promise<Service>;

export class PeerProcess {
  readonly host: TestHost;
  readonly #launch: Launch;
  #service: Service;

  /** Ends with the network. */
  protected constructor(network: TestNetwork, host: TestHost, launch: Launch, service: Service) {
    this.host = host;
    this.#launch = launch;
    this.#service = service;
    network.onClose(() => this.kill());
  }

  signal(signal: NodeJS.Signals): void {
    this.#service.kill(signal);
  }

  async kill(): Promise<void> {
    this.#service.kill('SIGKILL');
    await this.#service.exited;
  }

  protected async launchAgain(...flags: readonly string[]): Promise<void> {
    this.#service = await this.#launch(flags);
  }
}
