// Who waits for an endpoint until all of it is in the kernel (docs/dataplane.md "Driver"): asked by key, never by listing.

import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { elementQueries } from '../nftables/render/commits.ts';
import type { DataplaneState } from '../nftables/render/dataplane-state.ts';
import { TABLE_NAME } from '../nftables/render/layout.ts';
import type { TableDriver } from '../nftables/table-driver.ts';
import { DataplaneError } from './dataplane-error.ts';
import type { HostNetwork } from './host-network.ts';

interface Waiter {
  readonly key: string;
  readonly settle: () => void;
}

/** How soon, and at last how often, an endpoint of which all is written is looked for again. */
const FIRST_LOOK_MS = 2;
const LAST_LOOK_MS = 500;

export class EndpointWaits {
  readonly #writer: KernelWriterClient;
  readonly #state: DataplaneState;
  readonly #table: TableDriver;
  readonly #network: HostNetwork;
  readonly #waiters = new Set<Waiter>();
  #isStopped = false;

  constructor(writer: KernelWriterClient, state: DataplaneState, table: TableDriver, network: HostNetwork) {
    this.#writer = writer;
    this.#state = state;
    this.#table = table;
    this.#network = network;
  }

  /** Something of these endpoints, or of any, may have come. */
  lookAgain(keys?: readonly string[]): void {
    for (const waiter of this.#waiters) if (keys?.includes(waiter.key) !== false) waiter.settle();
  }

  stop(): void {
    this.#isStopped = true;
    this.lookAgain();
  }

  async missingOf(key: string, minimumRevision: number): Promise<readonly string[]> {
    const endpoint = this.#state.endpoints.get(key);
    if (endpoint === undefined || endpoint.revision < minimumRevision) return ['endpoint not calculated'];
    if (!this.#network.routes.isProgrammed(key)) return ['endpoint not programmed'];
    const { renderer } = this.#table;
    const elements = renderer?.endpointElements(key);
    if (renderer === undefined || elements === undefined) return ['endpoint left out: the kernel refuses it'];
    const queries = elementQueries(renderer.table, elements);
    const [found, missing] = await Promise.all([
      this.#writer.hasElements(TABLE_NAME, queries),
      this.#network.routes.missingFor(endpoint),
    ]);
    if (!found) return ['elements of the endpoint'];
    if (missing.length > 0) this.#network.routes.writeAnew(key);
    return missing;
  }

  async waitFor(key: string, minimumRevision: number, signal: AbortSignal): Promise<void> {
    let missing: readonly string[] = ['endpoint not calculated'];
    let lookMs = FIRST_LOOK_MS;
    while (!signal.aborted && !this.#isStopped) {
      const changed = this.#nextChange(key, signal);
      missing = await this.missingOf(key, minimumRevision);
      if (missing.length === 0) {
        changed.cancel();
        return;
      }
      // A link that has been raised carries packets a moment later, and nothing says when.
      const looking = this.#network.routes.isProgrammed(key) ? setTimeout(changed.cancel, lookMs) : undefined;
      await changed.promise;
      clearTimeout(looking);
      if (looking !== undefined) lookMs = Math.min(2 * lookMs, LAST_LOOK_MS);
    }
    if (this.#isStopped) throw new DataplaneError({ code: 'stopped' });
    throw new DataplaneError({ code: 'endpointMissing', endpoint: key, missing });
  }

  #nextChange(key: string, signal: AbortSignal): { promise: Promise<void>; cancel: () => void } {
    let cancel = (): void => {};
    const promise = new Promise<void>((resolve) => {
      const waiter: Waiter = { key, settle: () => cancel() };
      cancel = () => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', cancel);
        resolve();
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', cancel, { once: true });
    });
    return { promise, cancel };
  }
}
