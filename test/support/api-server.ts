// The real API server on an in-memory datastore, with certificates of its own: for tests of its clients.
import { readFile } from 'node:fs/promises';
import { Api } from '../../controller/api/api.ts';
import { ControllerMetrics } from '../../controller/metrics.ts';
import type { WatchBatch, WatchOptions } from '../../lib/datastore/datastore.ts';
import { MemoryDatastore } from '../../lib/datastore/memory/memory-datastore.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { createAuthority } from './certificates.ts';

export interface TestApi {
  readonly port: number;
  /** What the server holds; what is written here passes by its checks. */
  readonly datastore: HeldDatastore;
  readonly metrics: ControllerMetrics;
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  /** A client with an administrator's certificate; `port` another than the server's: through a proxy. */
  client(port?: number, timeoutMs?: number): KubeClient;
  /** A client with a certificate of this subject: `NAME/O=GROUP`. */
  clientOf(subject: string): Promise<KubeClient>;
  /** Ends the server and starts one at the same place on another, empty datastore: an etcd restored from nothing. */
  replaceDatastore(): Promise<void>;
  stop(): Promise<void>;
}

/** Its watches can be made to say nothing, as behind a proxy that stalls, while everything else is answered. */
export class HeldDatastore extends MemoryDatastore {
  #held: Promise<void> = Promise.resolve();

  /** Holds all watches back until the function that it returns is called. */
  holdWatches(): () => void {
    let release = (): void => {};
    this.#held = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  }

  override async *watch(prefix: string, options: WatchOptions): AsyncGenerator<WatchBatch> {
    for await (const batch of super.watch(prefix, options)) {
      await this.#held;
      yield batch;
    }
  }
}

export async function startTestApi(): Promise<TestApi> {
  const authority = await createAuthority();
  const server = await authority.issueServer();
  const admin = await authority.issueClient('admin/O=system:masters');
  const ca = await readFile(authority.caFile);
  const serving = { ca, cert: await readFile(server.certFile), key: await readFile(server.keyFile) };
  const tls = { ca, cert: await readFile(admin.certFile), key: await readFile(admin.keyFile) };
  let current = await serve(serving, 0);
  const { port: ownPort } = current.api;
  const clients: KubeClient[] = [];
  return {
    port: ownPort,
    get datastore() {
      return current.datastore;
    },
    tls,
    get metrics() {
      return current.metrics;
    },
    clientOf: async (subject) => {
      const files = await authority.issueClient(subject);
      const [cert, key] = [await readFile(files.certFile), await readFile(files.keyFile)];
      const client = new KubeClient({ server: `https://127.0.0.1:${ownPort}`, ca, cert, key });
      clients.push(client);
      return client;
    },
    client: (port = ownPort, timeoutMs = 10_000) => {
      const client = new KubeClient({ server: `https://127.0.0.1:${port}`, ...tls, timeoutMs });
      clients.push(client);
      return client;
    },
    replaceDatastore: async () => {
      await current.stop();
      current = await serve(serving, ownPort);
    },
    stop: async () => {
      for (const client of clients) client.close();
      await current.stop();
      await authority.remove();
    },
  };
}

async function serve(
  tls: TestApi['tls'],
  port: number,
): Promise<{
  readonly api: Api;
  readonly datastore: HeldDatastore;
  readonly metrics: ControllerMetrics;
  readonly stop: () => Promise<void>;
}> {
  const datastore = new HeldDatastore();
  const metrics = new ControllerMetrics();
  const api = new Api({
    datastore,
    events: new EventLog({ host: 'test' }),
    logger: silentLogger(),
    metrics,
    redis: undefined,
    agentPort: 9098,
    address: '127.0.0.1',
    port,
    tls,
  });
  await api.start();
  return {
    api,
    datastore,
    metrics,
    stop: async () => {
      await api.stop();
      await datastore.close();
    },
  };
}
