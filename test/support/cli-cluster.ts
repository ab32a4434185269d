// A cluster as calicoctl meets it: a real etcd, a real Redis, the real controller, and a node that is the agent's own node
// API with status and rules of the test's choice.
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Daemon } from '../../agents/bgp/daemon.ts';
import { NodeApi, type NodeApiSources } from '../../agents/node/node-api.ts';
import { runProgram } from '../../cli/program.ts';
import { CONTROLLER_SETTINGS } from '../../controller/config.ts';
import { Controller } from '../../controller/controller.ts';
import { clusterRoles, issueCertificates } from '../../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../../lib/certificates/kubeconfig.ts';
import { loadSettings } from '../../lib/config/settings.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { RecordRing } from '../../lib/events/record-ring.ts';
import { KubeClient, NAMESPACES, NODES } from '../../lib/kube-client/client.ts';
import { StopStack } from '../../lib/lifecycle/startable.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { BgpdClient } from '../../lib/protocol/bgpd-client.ts';
import type { FlowRecord } from '../../lib/protocol/flow-record.ts';
import type { StreamGaps } from '../../lib/protocol/stream-gaps.ts';
import { freePort, startEtcd } from './etcd.ts';
import { until as untilTrue } from './until.ts';

export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export type BackendName = 'etcd' | 'api';

export class CliCluster {
  readonly #stack = new StopStack();
  readonly #nodeEvents = new EventLog({ host: 'node-1' });
  #directory = '';
  #etcdEndpoint = '';
  #server = '';
  #datastore: EtcdDatastore | undefined;
  #client: KubeClient | undefined;
  #redis: Service | undefined;

  /** What the node API of node-1 answers; a test may change it. */
  nodeStatus: object = {};
  rules = '';
  flowStatus: object = {};
  streamGaps: StreamGaps = {};
  readonly nodeFlows = new RecordRing<FlowRecord>('node-1', 1000);
  #bgp: BgpdClient | undefined;

  static async start(): Promise<CliCluster> {
    const cluster = new CliCluster();
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#stack.stop();
  }

  get datastore(): EtcdDatastore {
    if (this.#datastore === undefined) throw new Error('the cluster is not up');
    return this.#datastore;
  }
  get client(): KubeClient {
    if (this.#client === undefined) throw new Error('the cluster is not up');
    return this.#client;
  }
  get nodeEvents(): EventLog {
    return this.#nodeEvents;
  }

  get redisUrl(): string {
    return `unix://${this.#path('redis.sock')}`;
  }

  /** Runs calicoctl until it ends. */
  async run(backend: BackendName, argv: readonly string[], stdin = ''): Promise<Answer> {
    const { answer } = this.start(backend, argv, stdin);
    return answer;
  }

  /** Starts calicoctl: what it has said so far, its end, and the way to interrupt it. */
  start(
    backend: BackendName,
    argv: readonly string[],
    stdin = '',
    role = 'admin',
  ): { readonly said: () => Answer; readonly answer: Promise<Answer>; readonly interrupt: () => void } {
    const interrupted = new AbortController();
    const said = { code: -1, out: '', err: '' };
    const env = {
      HOME: '/nonexistent',
      KUBECONFIG: this.#path(`${role}.kubeconfig`),
      ...(backend === 'etcd' ? { ETCD_ENDPOINTS: this.#etcdEndpoint } : {}),
    };
    const code = runProgram({
      argv,
      env,
      version: '0.0.0',
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
      readStdin: async () => stdin,
      now: () => new Date(),
      signal: interrupted.signal,
    });
    return {
      said: () => said,
      answer: code.then((ended) => ({ ...said, code: ended })),
      interrupt: () => interrupted.abort(),
    };
  }

  async stopRedis(): Promise<void> {
    await this.#redis?.stop();
    this.#redis = undefined;
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  async #start(): Promise<void> {
    this.#directory = await mkdtemp(join(tmpdir(), 'calico-ts-cli-'));
    this.#stack.push('folder', () => rm(this.#directory, { recursive: true, force: true }));
    const certificates = issueCertificates(
      this.#path('certs'),
      clusterRoles({ etcd: [], redis: [], controller: [] }),
    );
    const etcd = await startEtcd();
    this.#stack.push('etcd', () => etcd.stop());
    this.#etcdEndpoint = etcd.endpoint;
    this.#datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
    this.#stack.push('datastore', () => this.#datastore?.close());
    await this.#startRedis();
    await certificates;
    await this.#startController();
    await this.#startNode();
  }

  async #startRedis(): Promise<void> {
    const socket = this.#path('redis.sock');
    this.#redis = await spawnService({
      argv: ['redis-server', '--port', '0', '--unixsocket', socket, '--save', '', '--dir', this.#directory],
      readyWhen: { kind: 'probe', isReady: () => accepts(socket) },
    });
    this.#stack.push('redis', () => this.stopRedis());
  }

  async #startController(): Promise<void> {
    const port = await freePort();
    const file = (role: string, name: string): string => this.#path(`certs/${role}/${name}.pem`);
    const env = {
      ETCD_ENDPOINTS: this.#etcdEndpoint,
      API_LISTEN_ADDRESS: '127.0.0.1',
      API_PORT: String(port),
      API_CA_FILE: file('ca', 'ca'),
      API_CERT_FILE: file('api', 'cert'),
      API_KEY_FILE: file('api', 'key'),
      API_CLIENT_CERT_FILE: file('controller', 'cert'),
      API_CLIENT_KEY_FILE: file('controller', 'key'),
      REDIS_URL: this.redisUrl,
      AGENT_PORT: String(await this.#startNodeApi()),
      // The others would judge a node that has no agent.
      ENABLED_CONTROLLERS: 'namespaces',
    };
    const loaded = loadSettings(CONTROLLER_SETTINGS, { argv: [], env });
    if (!loaded.ok) throw new Error(loaded.problems.join('; '));
    const { signal } = new AbortController();
    const options = { settings: loaded.settings, logger: silentLogger(), signal };
    const controller = new Controller({ ...options, readFile: (path) => readFileSync(path) });
    await controller.start();
    this.#stack.push('controller', () => controller.stop());
    this.#server = `https://127.0.0.1:${port}`;
    for (const role of ['admin', 'node']) await this.#writeKubeconfig(role);
    const [ca, cert, key] = await Promise.all(['ca', 'cert', 'key'].map((name) => this.#pem('admin', name)));
    this.#client = new KubeClient({ server: this.#server, ca: ca ?? '', cert: cert ?? '', key: key ?? '' });
    this.#stack.push('client', () => this.#client?.close());
    await until(async () => (await this.client.find(NAMESPACES, undefined, 'default')) !== undefined);
  }

  async #writeKubeconfig(role: string): Promise<void> {
    const [ca = '', cert = '', key = ''] = await Promise.all(
      ['ca', 'cert', 'key'].map((name) => this.#pem(role, name)),
    );
    await writeFile(
      this.#path(`${role}.kubeconfig`),
      renderKubeconfig({ server: this.#server, ca, cert, key }),
    );
  }

  #pem(role: string, name: string): Promise<string> {
    return readFile(this.#path(`certs/${role}/${name}.pem`), 'utf8');
  }

  /** The bgpd of node-1, without a kernel; a test configures it. */
  get bgp(): BgpdClient {
    if (this.#bgp === undefined) throw new Error('not started');
    return this.#bgp;
  }

  async #startBgpd(): Promise<void> {
    const stateDir = this.#path('bgpd');
    const events = new EventLog({ host: 'node-1' });
    const daemon = new Daemon({
      stateDir,
      host: 'node-1',
      log: silentLogger(),
      events,
      onEnd: () => undefined,
    });
    await daemon.start();
    this.#stack.push('bgpd', () => daemon.stop('shutdown'));
    this.#bgp = await BgpdClient.connect(join(stateDir, 'bgpd.sock'));
    this.#stack.push('client of bgpd', () => this.#bgp?.close());
  }

  async #startNodeApi(): Promise<number> {
    await this.#startBgpd();
    const [ca, cert, key] = await Promise.all(['ca', 'cert', 'key'].map((name) => this.#pem('node', name)));
    const sources: NodeApiSources = {
      events: this.#nodeEvents,
      flows: this.nodeFlows,
      flowStatus: () => this.flowStatus,
      streamGaps: () => this.streamGaps,
      status: async () => this.nodeStatus,
      rules: async () => this.rules,
      rib: (page) => this.bgp.rib(page),
      ribIn: (peer, page) => this.bgp.ribIn(peer, page),
      ribOut: (peer, page) => this.bgp.ribOut(peer, page),
      why: (prefix) => this.bgp.why(prefix),
      history: (peer, raw) => this.bgp.history(peer, raw),
      notReady: () => [],
      notAlive: () => [],
      metrics: () => this.bgp.metrics(),
    };
    const tls = { ca: Buffer.from(ca ?? ''), cert: Buffer.from(cert ?? ''), key: Buffer.from(key ?? '') };
    const api = new NodeApi({ sources, logger: silentLogger(), port: 0, tls });
    await api.start();
    this.#stack.push('node API', () => api.stop());
    return api.port;
  }

  /** node-1 is here; node-2 at an address where nobody listens, as the node API is on IPv4. */
  async #startNode(): Promise<void> {
    for (const [name, address] of [
      ['node-1', '127.0.0.1'],
      ['node-2', '::1'],
    ] as const) {
      const node = { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} };
      const created = await this.client.create(NODES, undefined, node);
      const status = { addresses: [{ type: 'InternalIP', address }] };
      await this.client.replace(NODES, { ...created, status }, { subresource: 'status' });
    }
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Throws after ten seconds without it. */
export function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  return untilTrue('what was waited for', isTrue, 10_000, 20);
}
