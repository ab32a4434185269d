// What the controller counts, for Prometheus at `/metrics` of the API (docs/api.md "Metrics").

import { Counter, Gauge, Registry } from 'prom-client';

/** Read when somebody asks. */
export interface MeasuredState {
  readonly watches: () => number;
  readonly connections: () => number;
  readonly isLeader: () => boolean;
  /** Kubernetes Events that were not written because the API was slow or away. */
  readonly droppedEvents: () => number;
}

export class ControllerMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: 'calico_ts_api_requests_total',
    help: 'Requests to the API by method and status code.',
    labelNames: ['method', 'code'],
    registers: [this.#registry],
  });
  readonly #endedWatches = new Counter({
    name: 'calico_ts_api_watches_expired_total',
    help: 'Watches that were ended because the client was too slow or its version too old.',
    registers: [this.#registry],
  });
  readonly #queues = new Map<string, () => number>();

  constructor() {
    const queues = this.#queues;
    new Gauge({
      name: 'calico_ts_controller_queue_length',
      help: 'Keys that wait to be reconciled, by controller.',
      labelNames: ['controller'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [controller, length] of queues) this.set({ controller }, length());
      },
    });
  }

  countRequest(method: string, code: number): void {
    this.#requests.inc({ method, code: String(code) });
  }

  countExpiredWatch(): void {
    this.#endedWatches.inc();
  }

  /** Undefined: the controller has stopped. */
  setQueue(controller: string, length: (() => number) | undefined): void {
    if (length === undefined) this.#queues.delete(controller);
    else this.#queues.set(controller, length);
  }

  /** Gauges that are read when somebody asks; once. */
  observe(state: MeasuredState): void {
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read());
        },
      });
    };
    gauge('calico_ts_api_watches', 'Watches under way.', state.watches);
    gauge('calico_ts_api_connections', 'Open connections to the API.', state.connections);
    gauge('calico_ts_controller_leader', '1 while this controller is the elected one.', () =>
      state.isLeader() ? 1 : 0,
    );
    gauge(
      'calico_ts_controller_dropped_events',
      'Kubernetes Events that were not written.',
      state.droppedEvents,
    );
  }

  /** The text format of Prometheus. */
  async render(): Promise<{ readonly type: string; readonly text: string }> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }
}
