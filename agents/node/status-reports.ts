// What Felix reports to the datastore of its host, as networking-calico (OpenStack) reads it: a sign of life under a lease, and of each
// workload whether it is up (felix/statusrep, daemon.go; keys in lib/model/status-keys.ts). Off until it is asked for.

import { isDeepStrictEqual } from 'node:util';
import type { Datastore, Operation } from '../../lib/datastore/datastore.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { formatStatusKey, statusListRoot } from '../../lib/model/status-keys.ts';
import type { WorkloadEndpointId } from '../../lib/policy/compiled.ts';
import { DEFAULT_FELIX_SETTINGS } from '../felix/calc/felix-settings.ts';
import type { ReportSettings } from '../felix/calc/network-settings.ts';

export interface ReportedEndpoint {
  readonly id: WorkloadEndpointId;
  /** Its policy, link and routes are in the kernel. */
  readonly isUp: boolean;
}

export interface StatusReportsOptions {
  readonly node: string;
  readonly datastore: Pick<Datastore, 'list' | 'transact' | 'grantLease'>;
  readonly logger: Logger;
  /** This host's; undefined while they are not known yet: nothing is taken away then. */
  readonly endpoints: () => readonly ReportedEndpoint[] | undefined;
  readonly now: () => Date;
  /** Seconds since the start. */
  readonly uptimeSeconds: () => number;
}

/** As in Felix: a start that fails at once has told of no life. */
const FIRST_SIGN_MS = 10_000;
const LEAST_DELAY_MS = 100;
const RETRY_MS = 2000;
const CALL_MS = 2000;
/** Operations of one transaction, below what etcd takes. */
const BATCH = 100;

export class StatusReports {
  readonly #options: StatusReportsOptions;
  #settings: ReportSettings = DEFAULT_FELIX_SETTINGS.reports;
  #stopping = new AbortController();
  #running: readonly Promise<void>[] = [];
  /** By key, what the datastore holds of endpoints; undefined: it must be read. */
  #written: Map<string, string> | undefined;
  #hasSaid = false;
  #changing: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: StatusReportsOptions) {
    this.#options = options;
  }

  /** What was reported of endpoints goes with the setting; so does what stands under another region. */
  change(settings: ReportSettings): void {
    this.#changing = this.#changing.then(() => this.#change(settings));
  }

  /** What was reported stays: the workloads do, too. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopping.abort();
    await this.#changing;
    await Promise.all(this.#running);
  }

  async #change(settings: ReportSettings): Promise<void> {
    const before = this.#settings;
    if (this.#isStopped || isDeepStrictEqual(before, settings)) return;
    this.#stopping.abort();
    await Promise.all(this.#running);
    if (this.#isStopped) return;
    this.#settings = settings;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    const isLeft = before.endpoints && (!settings.endpoints || before.region !== settings.region);
    const clearing = isLeft ? this.#clear(before, signal) : Promise.resolve();
    this.#running = [
      clearing.then(() => (settings.endpoints ? this.#reportEndpoints(settings, signal) : undefined)),
      settings.intervalMs > 0 ? this.#giveSigns(settings, signal) : Promise.resolve(),
    ];
  }

  async #reportEndpoints(settings: ReportSettings, signal: AbortSignal): Promise<void> {
    this.#written = undefined;
    while (!signal.aborted) {
      const endpoints = this.#options.endpoints();
      const isDone = endpoints === undefined || (await this.#attempt(() => this.#write(settings, endpoints)));
      await waitFor(isDone ? Math.max(LEAST_DELAY_MS, settings.endpointDelayMs) : RETRY_MS, signal);
    }
  }

  async #clear(settings: ReportSettings, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !(await this.#attempt(() => this.#write(settings, []))))
      await waitFor(RETRY_MS, signal);
  }

  /** Only what differs; keys of endpoints that an earlier agent had are taken away. */
  async #write({ region }: ReportSettings, endpoints: readonly ReportedEndpoint[]): Promise<void> {
    const { node: host, datastore } = this.#options;
    const written = this.#written ?? (await this.#read(region));
    this.#written = undefined;
    const wanted = new Map(
      endpoints.map(({ id, isUp }) => [
        formatStatusKey({ ...id, type: 'WorkloadEndpointStatus', region, host }),
        JSON.stringify({ status: isUp ? 'up' : 'down' }),
      ]),
    );
    const operations: Operation[] = [
      ...[...written.keys()]
        .filter((key) => !wanted.has(key))
        .map((key) => ({ type: 'delete' as const, key })),
      ...[...wanted].flatMap(([key, value]) =>
        written.get(key) === value ? [] : [{ type: 'put' as const, key, value }],
      ),
    ];
    for (let at = 0; at < operations.length; at += BATCH)
      await datastore.transact(
        { compare: [], success: operations.slice(at, at + BATCH) },
        AbortSignal.timeout(CALL_MS),
      );
    this.#written = wanted;
  }

  async #read(region: string): Promise<Map<string, string>> {
    const { node: host, datastore } = this.#options;
    const prefix = `${statusListRoot({ type: 'WorkloadEndpointStatus', region, host })}/`;
    const found = new Map<string, string>();
    for (let after: string | undefined; ; ) {
      const options = { limit: BATCH, signal: AbortSignal.timeout(CALL_MS) };
      const page = await datastore.list(prefix, after === undefined ? options : { ...options, after });
      for (const { key, value } of page.items) found.set(key, value);
      after = page.items.at(-1)?.key;
      if (!page.hasMore || after === undefined) return found;
    }
  }

  async #giveSigns(settings: ReportSettings, signal: AbortSignal): Promise<void> {
    await waitFor(Math.min(FIRST_SIGN_MS, settings.intervalMs), signal);
    while (!signal.aborted) {
      await this.#attempt(() => this.#giveSign(settings));
      await waitFor(settings.intervalMs, signal);
    }
  }

  async #giveSign({ region, ttlMs }: ReportSettings): Promise<void> {
    const { node: host, datastore, now, uptimeSeconds } = this.#options;
    const time = now().toISOString();
    const value = JSON.stringify({ time, uptime: uptimeSeconds(), first_update: !this.#hasSaid });
    const { id: lease } = await datastore.grantLease(Math.ceil(ttlMs / 1000), { keepAlive: false });
    const active = formatStatusKey({ type: 'ActiveStatusReport', host, region });
    const last = formatStatusKey({ type: 'LastStatusReport', host, region });
    await datastore.transact(
      {
        compare: [],
        success: [
          { type: 'put', key: active, value, lease },
          { type: 'put', key: last, value },
        ],
      },
      AbortSignal.timeout(CALL_MS),
    );
    this.#hasSaid = true;
  }

  async #attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#options.logger.warn('status could not be reported, trying again', { error });
      return false;
    }
  }
}
