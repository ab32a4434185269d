// A real etcd, certificates, and real controller processes for one test file, with clients and kubectl; gone at the end.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterRoles, issueCertificates } from '../../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../../lib/certificates/kubeconfig.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { formatRfc3339Seconds } from '../../lib/model/duration.ts';
import { type RunResult, run } from '../../lib/process/run.ts';
import { type Service, spawnService } from '../../lib/process/service.ts';
import { type EtcdServer, freePort, startEtcd } from './etcd.ts';
import { until as untilTrue } from './until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const READY_MS = 60_000;

export interface ControllerCluster {
  readonly etcd: EtcdServer;
  readonly datastore: EtcdDatastore;
  readonly calico: ResourceClient;
  /** Where the first controller serves. */
  readonly server: string;
  /** As an administrator. */
  readonly client: KubeClient;
  readonly controllers: readonly Service[];
  /** A client by the certificate of a role (`admin`, `node`, …). */
  clientOf(role: string): Promise<KubeClient>;
  /** PEM files of a role. */
  certificate(role: string): Promise<{ ca: Buffer; cert: Buffer; key: Buffer }>;
  /** Another controller; resolves once it has said that it runs. */
  startController(args: readonly string[]): Promise<Service>;
  kubectl(args: readonly string[], input?: string): Promise<RunResult>;
  /** For a kubectl that the test starts itself. */
  readonly environment: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

/** `args` are those of the first controller, which serves the API; without `serve` there is none. */
export async function startControllerCluster(args: readonly string[] = []): Promise<ControllerCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'calico-ts-controller-'));
  const [etcd] = await Promise.all([
    startEtcd(),
    issueCertificates(join(directory, 'certs'), clusterRoles({ etcd: [], redis: [], controller: [] })),
  ]);
  const datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
  const port = await freePort();
  const server = `https://127.0.0.1:${port}`;
  const file = (role: string, name: string): string => join(directory, 'certs', role, name);
  const certificate = async (role: string) => ({
    ca: await readFile(file(role, 'ca.pem')),
    cert: await readFile(file(role, 'cert.pem')),
    key: await readFile(file(role, 'key.pem')),
  });
  const clients: KubeClient[] = [];
  const clientOf = async (role: string): Promise<KubeClient> => {
    const client = new KubeClient({ server, ...(await certificate(role)) });
    clients.push(client);
    return client;
  };
  const controllers: Service[] = [];
  const startController = async (more: readonly string[]): Promise<Service> => {
    const serves = !more.includes('--no-serve-api');
    const controller = await spawnService({
      argv: [
        // It must not outlive a test run that was killed.
        'setpriv',
        ...['--pdeathsig', 'KILL', process.execPath, join(ROOT, 'controller', 'main.ts')],
        ...['--etcd-endpoints', etcd.endpoint, '--listen-address', '127.0.0.1', '--port', String(port)],
        ...['--ca-file', file('ca', 'ca.pem')],
        ...['--cert-file', file('api', 'cert.pem'), '--key-file', file('api', 'key.pem')],
        ...['--client-cert-file', file('controller', 'cert.pem')],
        ...['--client-key-file', file('controller', 'key.pem')],
        ...more,
      ],
      readyWhen: serves
        ? { kind: 'line', matches: (line) => line.includes('api listens') }
        : { kind: 'line', matches: (line) => line.includes('elected leader') },
      readyTimeoutMs: READY_MS,
    });
    controllers.push(controller);
    return controller;
  };
  const kubeconfig = join(directory, 'kubeconfig');
  const stop = async (): Promise<void> => {
    for (const client of clients) client.close();
    await Promise.all(controllers.map((controller) => controller.stop()));
    await datastore.close();
    await etcd.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const admin = await certificate('admin');
    const parts = { ca: admin.ca.toString(), cert: admin.cert.toString(), key: admin.key.toString() };
    await writeFile(kubeconfig, renderKubeconfig({ server, ...parts }));
    await startController(args);
    const client = await clientOf('admin');
    await until('the default namespace', async () => {
      const account = { group: '', version: 'v1', plural: 'serviceaccounts' };
      return (await client.find(account, 'default', 'default')) !== undefined;
    });
    const environment = { ...process.env, KUBECONFIG: kubeconfig, KUBE_EDITOR: 'true' };
    return {
      environment,
      etcd,
      datastore,
      calico: new ResourceClient({ datastore }),
      server,
      client,
      controllers,
      clientOf,
      certificate,
      startController,
      kubectl: (kubectlArgs, input) =>
        run('kubectl', ['--cache-dir', join(directory, 'cache'), ...kubectlArgs], {
          env: environment,
          timeoutMs: 60_000,
          ...(input === undefined ? {} : { input }),
        }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Throws with the condition's name when it does not come true in time. */
export function until(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  timeoutMs = 30_000,
): Promise<void> {
  return untilTrue(what, isTrue, timeoutMs, 20);
}

/** What a kubelet writes about its node: Ready, with an address. */
export function readyNode(name: string): object {
  const time = formatRfc3339Seconds(Date.now());
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    status: {
      conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: time, lastTransitionTime: time }],
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      allocatable: { cpu: '2', memory: '1024Mi', pods: '110' },
      capacity: { cpu: '2', memory: '1024Mi', pods: '110' },
    },
  };
}
