// Wires the controller: datastore, API, election, and what the leader runs.

import { redisAddressOf } from '../lib/config/shared-settings.ts';
import { type Datastore, DatastoreError } from '../lib/datastore/datastore.ts';
import { EtcdDatastore } from '../lib/datastore/etcd/etcd-datastore.ts';
import { etcdOptionsOf } from '../lib/datastore/etcd/settings.ts';
import { ensureInitialized } from '../lib/datastore/initialize.ts';
import { ResourceClient } from '../lib/datastore/resource-client.ts';
import { EventLog } from '../lib/events/event-log.ts';
import { type RedisAddress, StreamPublisher } from '../lib/events/redis-stream.ts';
import { EVENT_TARGET } from '../lib/events/stream-target.ts';
import { KubeClient } from '../lib/kube-client/client.ts';
import { EventRecorder } from '../lib/kube-client/event-recorder.ts';
import { waitFor } from '../lib/lifecycle/backoff.ts';
import { type Startable, StopStack } from '../lib/lifecycle/startable.ts';
import type { Logger } from '../lib/logging/logger.ts';
import { Api } from './api/api.ts';
import type { ControllerName, ControllerSettings } from './config.ts';
import { EndpointSlices } from './endpoints/endpoint-slices.ts';
import { FencedDatastore } from './fenced-datastore.ts';
import { GarbageCollector } from './gc/gc.ts';
import { HostEndpoints } from './host-endpoints/host-endpoints.ts';
import { LeaderElection } from './leader-election.ts';
import { ControllerMetrics } from './metrics.ts';
import { Namespaces } from './namespaces/namespaces.ts';
import { NodeLifecycle } from './nodes/node-lifecycle.ts';
import { KubernetesPlugin } from './plugins/kubernetes/plugin.ts';
import { Scheduler } from './scheduler/scheduler.ts';

export interface ControllerOptions {
  readonly settings: ControllerSettings;
  readonly logger: Logger;
  readonly readFile: (path: string) => Buffer;
  /** Ends a start that waits for etcd. */
  readonly signal: AbortSignal;
}

/** What the leader runs; those with a queue say how long it is. */
type Part = Startable & { readonly queueLength?: number };

const RETRY_MS = 500;
const AWAY: readonly string[] = ['unavailable', 'timeout', 'outcomeUnknown'];

/** What the leader's parts are made of. */
interface Shared {
  readonly client: KubeClient;
  readonly datastore: Datastore;
  readonly events: EventLog;
  /** PEM. */
  readonly ca: string;
}

export class Controller implements Startable {
  readonly #options: ControllerOptions;
  readonly #stack = new StopStack();
  #isDatastoreHealthy = true;
  readonly #metrics = new ControllerMetrics();
  #api: Api | undefined;
  /** By component; they outlast an election, as does what they count. */
  readonly #recorders = new Map<string, EventRecorder>();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { settings, logger, readFile } = this.#options;
    const file = (path: string | undefined): Buffer => readFile(path ?? '');
    const events = new EventLog({ host: settings.name });
    const datastore = this.#openDatastore(logger);
    this.#stack.push('datastore', () => datastore.close());
    const ca = file(settings.caFile);
    const redis = redisAddressOf(settings);
    if (redis !== undefined) {
      const publisher = new StreamPublisher(events.ring, EVENT_TARGET, redis, logger);
      await publisher.start();
      this.#stack.push('event stream', () => publisher.stop());
    }
    const server = settings.serveApi
      ? await this.#serveApi(datastore, events, ca, redis)
      : this.#foreignApi();
    if (server === undefined) return;
    const client = new KubeClient({
      server,
      ca,
      cert: file(settings.clientCertFile),
      key: file(settings.clientKeyFile),
    });
    this.#stack.push('API client', () => client.close());
    const election = new LeaderElection({
      datastore,
      name: settings.election,
      identity: `${settings.name}-${process.pid}`,
      ttlSeconds: settings.leaseSeconds,
      lead: (signal, fence) => {
        const fenced = new FencedDatastore(datastore, fence);
        return this.#lead({ client, datastore: fenced, events, ca: ca.toString() }, signal);
      },
      events,
      logger,
    });
    this.#metrics.observe({
      watches: () => this.#api?.watches ?? 0,
      connections: () => this.#api?.connections ?? 0,
      isLeader: () => election.isLeader,
      droppedEvents: () => [...this.#recorders.values()].reduce((sum, { dropped }) => sum + dropped, 0),
    });
    election.start();
    this.#stack.push('leader election', () => election.stop());
  }

  async stop(): Promise<void> {
    await this.#stack.stop();
  }

  #openDatastore(logger: Logger): EtcdDatastore {
    const { settings } = this.#options;
    return new EtcdDatastore({
      ...etcdOptionsOf(settings),
      onConnection: (state) => {
        this.#isDatastoreHealthy = state === 'connected';
        logger[state === 'connected' ? 'info' : 'warn'](`datastore ${state}`);
      },
    });
  }

  async #serveApi(
    datastore: Datastore,
    events: EventLog,
    ca: Buffer,
    redis: RedisAddress | undefined,
  ): Promise<string | undefined> {
    const { settings, logger, readFile } = this.#options;
    const api = new Api({
      metrics: this.#metrics,
      datastore,
      events,
      logger: logger.child({ part: 'api' }),
      address: settings.listenAddress,
      port: settings.port,
      redis,
      agentPort: settings.agentPort,
      tls: { ca, cert: readFile(settings.certFile ?? ''), key: readFile(settings.keyFile ?? '') },
    });
    this.#api = api;
    if (!(await this.#startWhenDatastoreAnswers(api))) return undefined;
    const isWildcard = settings.listenAddress === '0.0.0.0' || settings.listenAddress === '::';
    return `https://${isWildcard ? '127.0.0.1' : settings.listenAddress}:${api.port}`;
  }

  #foreignApi(): string {
    const { apiServer } = this.#options.settings;
    if (apiServer === undefined) throw new Error('without serveApi the setting apiServer is required');
    return apiServer;
  }

  /** etcd may come up after us: the API is there once it answers. False if told to stop before. */
  async #startWhenDatastoreAnswers(api: Api): Promise<boolean> {
    const { logger, signal } = this.#options;
    while (!signal.aborted) {
      try {
        await api.start();
        this.#stack.push('API', () => api.stop());
        return true;
      } catch (error) {
        await api.stop();
        if (!isAway(error)) throw error;
        logger.warn('waiting for etcd', { error });
        await waitFor(RETRY_MS, signal);
      }
    }
    return false;
  }

  /** Everything of which only one may run. */
  async #lead(shared: Shared, signal: AbortSignal): Promise<void> {
    const { enabledControllers } = this.#options.settings;
    const stack = new StopStack();
    try {
      // A policy cannot be stored before its tier is there, and the first node may be long in coming.
      await ensureInitialized(new ResourceClient({ datastore: shared.datastore }), {}, signal);
      for (const name of enabledControllers) {
        const part = this.#part(name, shared);
        await part.start();
        if (part.queueLength !== undefined) this.#metrics.setQueue(name, () => part.queueLength ?? 0);
        stack.push(name, async () => {
          this.#metrics.setQueue(name, undefined);
          await part.stop();
        });
      }
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
      });
    } finally {
      await stack.stop();
    }
  }

  #part(name: ControllerName, shared: Shared): Part {
    const { settings } = this.#options;
    const { client, datastore, events, ca } = shared;
    const logger = this.#options.logger.child({ part: name });
    const now = (): Date => new Date();
    const recorderOf = (component: string): EventRecorder => {
      const recorder =
        this.#recorders.get(component) ??
        new EventRecorder({ client, component, host: settings.name, logger, now });
      this.#recorders.set(component, recorder);
      return recorder;
    };
    switch (name) {
      case 'namespaces':
        return new Namespaces({ client, ca, logger });
      case 'scheduler':
        return new Scheduler({ client, events, recorder: recorderOf('default-scheduler'), logger });
      case 'nodes':
        return new NodeLifecycle({
          client,
          events,
          recorder: recorderOf('node-controller'),
          logger,
          graceSeconds: settings.nodeGraceSeconds,
          removalSeconds: settings.nodeRemovalSeconds,
          isDatastoreHealthy: () => this.#isDatastoreHealthy,
          now,
        });
      case 'kubernetes': {
        const identity = `${settings.name}-${process.pid}`;
        return new KubernetesPlugin({
          api: client,
          calico: new ResourceClient({ datastore }),
          datastore,
          identity,
          events,
          recorder: recorderOf('calico-kubernetes'),
          logger,
        });
      }
      case 'endpoints':
        return new EndpointSlices({ client, logger });
      case 'hostendpoints':
        return new HostEndpoints({ datastore, calico: new ResourceClient({ datastore }), logger });
      case 'gc':
        return new GarbageCollector({
          client,
          calico: new ResourceClient({ datastore }),
          datastore,
          events,
          logger,
          nodeGraceSeconds: settings.registrationGraceSeconds,
          leakGraceSeconds: settings.leakGraceSeconds,
          isDatastoreHealthy: () => this.#isDatastoreHealthy,
        });
    }
  }
}

/** What time alone mends. A certificate or a right that is wrong is not among it. */
function isAway(error: unknown): boolean {
  return error instanceof DatastoreError && AWAY.includes(error.type.code);
}
