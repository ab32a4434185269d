// Wires the controller: datastore, API, election, and what the leader runs.

import { EtcdDatastore } from '../lib/datastore/etcd/etcd-datastore.ts';
import { EventLog } from '../lib/events/event-log.ts';
import { KubeClient } from '../lib/kube-client/client.ts';
import { EventRecorder } from '../lib/kube-client/event-recorder.ts';
import { waitFor } from '../lib/lifecycle/backoff.ts';
import { type Startable, StopStack } from '../lib/lifecycle/startable.ts';
import type { Logger } from '../lib/logging/logger.ts';
import { Api } from './api/api.ts';
import type { ControllerSettings } from './config.ts';
import { LeaderElection } from './leader-election.ts';
import { Namespaces } from './namespaces/namespaces.ts';
import { NodeLifecycle } from './nodes/node-lifecycle.ts';
import { Scheduler } from './scheduler/scheduler.ts';

export interface ControllerOptions {
  readonly settings: ControllerSettings;
  readonly logger: Logger;
  readonly readFile: (path: string) => Buffer;
}

const REQUIRED = [
  'etcdEndpoints',
  'caFile',
  'certFile',
  'keyFile',
  'clientCertFile',
  'clientKeyFile',
] as const;

export class Controller implements Startable {
  readonly #options: ControllerOptions;
  readonly #stack = new StopStack();
  #isDatastoreHealthy = true;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { settings, logger, readFile } = this.#options;
    for (const name of REQUIRED)
      if (settings[name] === undefined || settings[name].length === 0)
        throw new Error(`setting ${name} is required`);
    const file = (path: string | undefined): Buffer => readFile(path ?? '');
    const events = new EventLog({ host: settings.name });
    const datastore = this.#openDatastore(logger);
    this.#stack.push('datastore', () => datastore.close());
    const tls = { ca: file(settings.caFile), cert: file(settings.certFile), key: file(settings.keyFile) };
    const api = new Api({
      datastore,
      events,
      logger: logger.child({ part: 'api' }),
      address: settings.listenAddress,
      port: settings.port,
      tls,
    });
    await this.#startWhenDatastoreAnswers(api);
    const client = new KubeClient({
      server: `https://127.0.0.1:${api.port}`,
      ca: tls.ca,
      cert: file(settings.clientCertFile),
      key: file(settings.clientKeyFile),
    });
    this.#stack.push('API client', () => client.close());
    const election = new LeaderElection({
      datastore,
      identity: `${settings.name}-${process.pid}`,
      ttlSeconds: settings.leaseSeconds,
      lead: (signal) => this.#lead(client, events, tls.ca.toString(), signal),
      events,
      logger,
    });
    election.start();
    this.#stack.push('leader election', () => election.stop());
  }

  async stop(): Promise<void> {
    await this.#stack.stop();
  }

  #openDatastore(logger: Logger): EtcdDatastore {
    const { settings } = this.#options;
    const { etcdCaCertFile: caFile, etcdCertFile: certFile, etcdKeyFile: keyFile } = settings;
    const tls =
      caFile === undefined
        ? undefined
        : {
            caFile,
            ...(certFile === undefined ? {} : { certFile }),
            ...(keyFile === undefined ? {} : { keyFile }),
          };
    return new EtcdDatastore({
      endpoints: settings.etcdEndpoints,
      ...(tls === undefined ? {} : { tls }),
      onConnection: (state) => {
        this.#isDatastoreHealthy = state === 'connected';
        logger[state === 'connected' ? 'info' : 'warn'](`datastore ${state}`);
      },
    });
  }

  /** etcd may come up after us: the API is there once it answers. */
  async #startWhenDatastoreAnswers(api: Api): Promise<void> {
    for (;;) {
      try {
        await api.start();
        this.#stack.push('API', () => api.stop());
        return;
      } catch (error) {
        if ((error as { type?: { code?: string } }).type?.code === undefined) throw error;
        this.#options.logger.warn('waiting for etcd', { error });
        await api.stop();
        await waitFor(500);
      }
    }
  }

  /** Everything of which only one may run. */
  async #lead(client: KubeClient, events: EventLog, ca: string, signal: AbortSignal): Promise<void> {
    const { settings, logger } = this.#options;
    const now = (): Date => new Date();
    const recorder = (component: string): EventRecorder =>
      new EventRecorder({ client, component, host: settings.name, logger, now });
    const parts: readonly { readonly name: string; readonly part: Startable }[] = [
      {
        name: 'namespaces',
        part: new Namespaces({ client, ca, logger: logger.child({ part: 'namespaces' }) }),
      },
      {
        name: 'scheduler',
        part: new Scheduler({
          client,
          events,
          recorder: recorder('default-scheduler'),
          logger: logger.child({ part: 'scheduler' }),
        }),
      },
      {
        name: 'node life cycle',
        part: new NodeLifecycle({
          client,
          events,
          recorder: recorder('node-controller'),
          logger: logger.child({ part: 'nodes' }),
          graceSeconds: settings.nodeGraceSeconds,
          removalSeconds: settings.nodeRemovalSeconds,
          isDatastoreHealthy: () => this.#isDatastoreHealthy,
          now,
        }),
      },
    ];
    const stack = new StopStack();
    try {
      for (const { name, part } of parts) {
        await part.start();
        stack.push(name, () => part.stop());
      }
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
      });
    } finally {
      await stack.stop();
    }
  }
}
