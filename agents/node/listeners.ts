// Health and metrics where FelixConfiguration wants them, live: a listener is closed and opened anew when host, port or certificates
// are different. Health is on unless it is turned off; metrics are off unless they are turned on (Calico's ports).

import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { FelixSettings } from '../felix/calc/felix-settings.ts';
import { HealthServer, type HttpListener, MetricsServer, type NodeApiSources } from './node-api.ts';

export interface ListenersOptions {
  readonly sources: NodeApiSources;
  readonly logger: Logger;
  readonly readFile: (path: string) => Buffer;
  /** Of health, before what FelixConfiguration says; undefined: that counts. */
  readonly healthPort: number | undefined;
}

type ListenerSettings = Pick<FelixSettings, 'health' | 'metrics' | 'metricsTls'>;

const HEALTH_PORT = 9099;
const METRICS_PORT = 9091;
/** How soon a listener that could not be opened is tried again. */
const RETRY_MS = 5000;

interface Slot {
  readonly name: string;
  /** What the listener is made from, as text; undefined: there is none. */
  made: string | undefined;
  listener: HttpListener | undefined;
}

export class Listeners implements Startable {
  readonly #options: ListenersOptions;
  readonly #health: Slot = { name: 'health', made: undefined, listener: undefined };
  readonly #metrics: Slot = { name: 'metrics', made: undefined, listener: undefined };
  #settings: ListenerSettings;
  #changing: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: ListenersOptions, settings: ListenerSettings) {
    this.#options = options;
    this.#settings = settings;
  }

  /** Throws what opening a listener throws: a port that is taken at the start is a mistake to be told. */
  async start(): Promise<void> {
    await this.#apply(this.#settings);
  }

  /** What cannot be opened is told and tried again. */
  change(settings: ListenerSettings): void {
    if (this.#isStopped) return;
    this.#settings = settings;
    clearTimeout(this.#retry);
    this.#changing = this.#changing
      .then(() => this.#apply(settings))
      .catch((error: unknown) => {
        this.#options.logger.error('a listener could not be opened, trying again', { error });
        if (!this.#isStopped) this.#retry = setTimeout(() => this.change(this.#settings), RETRY_MS);
      });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    await this.#changing;
    for (const slot of [this.#health, this.#metrics]) await slot.listener?.stop();
  }

  async #apply({ health, metrics, metricsTls }: ListenerSettings): Promise<void> {
    if (this.#isStopped) return;
    const { sources, healthPort, readFile } = this.#options;
    const healthHost = hostOf(health.host ?? 'localhost');
    const port = healthPort ?? health.port ?? HEALTH_PORT;
    await this.#fill(
      this.#health,
      health.enabled === false ? undefined : `${healthHost} ${port}`,
      () => new HealthServer(sources, port, healthHost),
    );
    const metricsHost = metrics.host === undefined || metrics.host === '' ? undefined : hostOf(metrics.host);
    const metricsPort = metrics.port ?? METRICS_PORT;
    const { caFile, certFile, keyFile } = metricsTls;
    await this.#fill(
      this.#metrics,
      metrics.enabled === true ? JSON.stringify({ metricsHost, metricsPort, metricsTls }) : undefined,
      () => {
        if ((certFile === undefined) !== (keyFile === undefined))
          throw new Error('prometheusMetricsCertFile and prometheusMetricsKeyFile go together');
        const tls =
          certFile === undefined || keyFile === undefined
            ? undefined
            : {
                cert: readFile(certFile),
                key: readFile(keyFile),
                ...(caFile === undefined ? {} : { ca: readFile(caFile) }),
              };
        return new MetricsServer(sources, metricsPort, metricsHost, tls);
      },
    );
  }

  async #fill(slot: Slot, wanted: string | undefined, make: () => HttpListener): Promise<void> {
    if (slot.made === wanted) return;
    const before = slot.listener;
    slot.listener = undefined;
    slot.made = undefined;
    await before?.stop();
    if (wanted === undefined) return;
    const listener = make();
    await listener.start();
    slot.listener = listener;
    slot.made = wanted;
  }
}

function hostOf(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}
