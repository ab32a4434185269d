// Starts the lab's etcd: the real server, one member, data below the lab's state directory. Nothing else shares its
// disk's fate, so it may skip fsync. With certificates nobody without one is served; health alone has a port of its own.

import { join } from 'node:path';
import { type Service, spawnService } from '../lib/process/service.ts';

export interface EtcdOptions {
  /** Address to listen on: 2379 for clients, 2380 for itself, 2381 for health. */
  readonly address: string;
  readonly stateDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Folder with `ca.pem cert.pem key.pem`: TLS with client certificates. Plain where not given. */
  readonly certificate?: string;
  readonly signal?: AbortSignal;
}

/** Address of the client API, e.g. https://172.30.0.2:2379. */
export function etcdEndpoint(address: string, isSecure: boolean): string {
  return `${isSecure ? 'https' : 'http'}://${address}:2379`;
}

/** Resolves when etcd answers its health check. About 0.2 s. */
export async function startEtcd(options: EtcdOptions): Promise<Service> {
  const { address, certificate } = options;
  const endpoint = etcdEndpoint(address, certificate !== undefined);
  const peer = `http://${address}:2380`;
  const health = `http://${address}:2381`;
  return await spawnService({
    argv: [
      'etcd',
      '--name=lab',
      `--data-dir=${join(options.stateDir, 'etcd')}`,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=lab=${peer}`,
      `--listen-metrics-urls=${health}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
      ...(certificate === undefined ? [] : certificateFlags(certificate)),
    ],
    env: options.env,
    logFile: join(options.stateDir, 'etcd.log'),
    readyWhen: { kind: 'probe', isReady: (signal) => isHealthy(health, signal) },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

function certificateFlags(folder: string): readonly string[] {
  return [
    '--client-cert-auth',
    `--trusted-ca-file=${join(folder, 'ca.pem')}`,
    `--cert-file=${join(folder, 'cert.pem')}`,
    `--key-file=${join(folder, 'key.pem')}`,
  ];
}

/** What etcdctl is told in its environment. `certificate` is a client's folder. */
export function etcdctlEnvironment(
  endpoint: string,
  certificate: string | undefined,
): Readonly<Record<string, string>> {
  return {
    ETCDCTL_API: '3',
    ETCDCTL_ENDPOINTS: endpoint,
    ...(certificate === undefined
      ? {}
      : {
          ETCDCTL_CACERT: join(certificate, 'ca.pem'),
          ETCDCTL_CERT: join(certificate, 'cert.pem'),
          ETCDCTL_KEY: join(certificate, 'key.pem'),
        }),
  };
}

async function isHealthy(url: string, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(`${url}/health`, { signal });
  const text = await response.text();
  return response.ok && text.includes('"health":"true"');
}
