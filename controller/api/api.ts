// Puts the API together: store, one watch on etcd per root, server. Refuses an etcd that holds somebody else's Kubernetes.

import { randomBytes, randomUUID } from 'node:crypto';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { RedisAddress } from '../../lib/events/redis-stream.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import { StopStack } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { AgentClient } from '../inspection/agent-client.ts';
import { Inspection } from '../inspection/inspection.ts';
import type { ControllerMetrics } from '../metrics.ts';
import { ObjectStore } from './object-store.ts';
import { findApiKind } from './registry.ts';
import { ApiServer } from './server.ts';
import { WATCHED_ROOTS, WatchHub } from './watch-hub.ts';

/** Says that `/registry` is ours. */
const OWNER_KEY = '/calico-ts/api/owner';
/** What kubectl is told; its own version may differ by several. */
const KUBERNETES_VERSION = '1.32.3';
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

const EVERYTHING = { labels: [], fields: [] };
const ONE_PAGE = { limit: 0, continueToken: undefined };

export interface ApiOptions {
  readonly metrics: ControllerMetrics;
  readonly datastore: Datastore;
  readonly events: EventLog;
  readonly logger: Logger;
  readonly address: string;
  readonly port: number;
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  /** The stream of the cluster's events, if there is one. */
  readonly redis: RedisAddress | undefined;
  /** Of the agents' node API. */
  readonly agentPort: number;
}

export class ForeignRegistryError extends Error {
  constructor(key: string) {
    super(
      `this etcd holds another Kubernetes (${key}): its API server and this one would destroy each other's objects. ` +
        'Use an etcd of its own, or run the kubernetes plugin against the real API server.',
    );
    this.name = 'ForeignRegistryError';
  }
}

export class Api implements Startable {
  readonly #options: ApiOptions;
  readonly #stack = new StopStack();
  #port = 0;
  #watches = (): number => 0;
  #connections = (): number => 0;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** The port that it listens on, once started. */
  get port(): number {
    return this.#port;
  }

  get watches(): number {
    return this.#watches();
  }
  get connections(): number {
    return this.#connections();
  }

  async start(): Promise<void> {
    const { datastore, events, logger, address, port, tls } = this.#options;
    await claimRegistry(datastore);
    const store = new ObjectStore({
      datastore,
      events,
      now: () => new Date(),
      newUid: randomUUID,
      newSuffix: randomSuffix,
    });
    const onExpired = (): void => this.#options.metrics.countExpiredWatch();
    const hubs = WATCHED_ROOTS.map((root) => ({
      root,
      hub: new WatchHub({ datastore, root, logger, onExpired }),
    }));
    for (const { root, hub } of hubs) {
      await hub.start();
      this.#stack.push(`watch of ${root}`, () => hub.stop());
    }
    const isReady = async (): Promise<boolean> => {
      try {
        await datastore.get(OWNER_KEY, { signal: AbortSignal.timeout(2000) });
        return true;
      } catch {
        return false;
      }
    };
    const now = (): Date => new Date();
    const server = new ApiServer({
      store,
      hubs,
      events,
      logger,
      address,
      port,
      tls,
      now,
      isReady,
      version: KUBERNETES_VERSION,
      inspection: this.#inspection(store),
      metrics: this.#options.metrics,
    });
    this.#port = (await server.start()).port;
    this.#stack.push('API server', () => server.stop());
    this.#watches = () => hubs.reduce((sum, { hub }) => sum + hub.subscribers, 0);
    this.#connections = () => server.connections;
    logger.info('api listens', { address, port: this.#port });
  }

  async stop(): Promise<void> {
    await this.#stack.stop();
  }

  #inspection(store: ObjectStore): Inspection {
    const { datastore, events, logger, redis, tls, agentPort } = this.#options;
    const nodes = findApiKind('', 'v1', 'nodes');
    if (nodes === undefined) throw new Error('the registry has no Node');
    return new Inspection({
      datastore,
      log: events,
      logger,
      redis,
      agents: new AgentClient({ tls, port: agentPort }),
      getNode: (name) => store.get(nodes, undefined, name),
      listNodes: async () => (await store.list(nodes, undefined, EVERYTHING, ONE_PAGE)).items,
    });
  }
}

async function claimRegistry(datastore: Datastore): Promise<void> {
  const { kv } = await datastore.get(OWNER_KEY);
  if (kv !== undefined) return;
  const { items } = await datastore.list('/registry/', { limit: 1 });
  if (items[0] !== undefined) throw new ForeignRegistryError(items[0].key);
  const value = JSON.stringify({ owner: 'calico-ts' });
  await datastore.transact({
    compare: [{ key: OWNER_KEY, modRevision: 0 }],
    success: [{ type: 'put', key: OWNER_KEY, value }],
  });
}

function randomSuffix(): string {
  return [...randomBytes(5)].map((byte) => SUFFIX_LETTERS[byte % SUFFIX_LETTERS.length]).join('');
}
