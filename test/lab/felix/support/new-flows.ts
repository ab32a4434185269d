// New UDP flows, one after another, while something changes: each is answered or not, and what should not have been is counted.

import type { NetpolBed } from './netpol-bed.ts';
import { Client, type Probe, type Servers } from './probes.ts';
import { until } from './test-host.ts';

/** Packets of a flow take no time to be judged: of those that should not be answered, only so many are watched. */
const MOST_OPEN = 200;

/** One kind of flow and what must become of it. */
export interface ExpectedFlow {
  /** As in the case: `namespace/pod`, `external:NAME`. */
  readonly from: string;
  readonly fromAddress: string;
  readonly to: string;
  readonly port: number;
  readonly isAllowed: boolean;
}

export class NewFlows {
  readonly counts = { answered: 0, lost: 0, letThrough: 0 };
  readonly #bed: NetpolBed;
  readonly #servers: Servers;
  readonly #open: { readonly client: Client; readonly isAllowed: boolean }[] = [];

  constructor(bed: NetpolBed) {
    this.#bed = bed;
    this.#servers = bed.servers;
  }

  /** Flows of every kind, until the change is in the kernel and a little longer. */
  async during(change: Promise<void>, kinds: readonly ExpectedFlow[]): Promise<void> {
    let isSettled = false;
    const settling = change.finally(() => {
      isSettled = true;
    });
    for (let more = 0; more < 10 || !isSettled; more++) {
      for (const kind of kinds) this.#ask(kind);
      this.#collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settling;
    await this.#finish();
  }

  #ask({ from, fromAddress, to, port, isAllowed }: ExpectedFlow): void {
    const name = `${from} ${port}`;
    const namespace = this.#bed.namespaceOf(from);
    const probe: Probe = { name, from: namespace, fromAddress, to, protocol: 'UDP', port };
    const client = new Client(probe);
    client.ask();
    this.#open.push({ client, isAllowed });
  }

  /** Closes the flows that have been answered, and counts those of them that should not have been. */
  #collect(): void {
    this.#servers.serve();
    for (const flow of this.#open.splice(0)) {
      if (!flow.client.hasAnswer) {
        this.#open.push(flow);
        continue;
      }
      flow.client.close();
      if (flow.isAllowed) this.counts.answered++;
      else this.counts.letThrough++;
    }
    const denied = this.#open.findIndex(({ isAllowed }) => !isAllowed);
    if (this.#open.length > MOST_OPEN && denied >= 0) this.#open.splice(denied, 1)[0]?.client.close();
  }

  /** An answer may be late on a busy machine; one that does not come is lost. */
  async #finish(): Promise<void> {
    const waiting = (): number => this.#open.filter(({ isAllowed }) => isAllowed).length;
    await until('all answers', () => {
      this.#collect();
      return waiting() === 0;
    }).catch(() => undefined);
    this.counts.lost += waiting();
    for (const { client } of this.#open.splice(0)) client.close();
  }
}
