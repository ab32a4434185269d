// Starts the lab's etcd: the real server, one member, data below the lab's state directory. Nothing else shares its
// disk's fate, so it may skip fsync.

import { join } from 'node:path';
import { type Service, spawnService } from '../lib/process/service.ts';

export interface EtcdOptions {
  /** Address to listen on; 2379 for clients, 2380 for itself. */
  readonly address: string;
  readonly stateDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

export interface Etcd {
  readonly endpoint: string;
  readonly service: Service;
}

/** Resolves when etcd answers its health check. About 0.2 s. */
export async function startEtcd(options: EtcdOptions): Promise<Etcd> {
  const endpoint = `http://${options.address}:2379`;
  const peer = `http://${options.address}:2380`;
  const service = await spawnService({
    argv: [
      'etcd',
      '--name=lab',
      `--data-dir=${join(options.stateDir, 'etcd')}`,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=lab=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    env: options.env,
    logFile: join(options.stateDir, 'etcd.log'),
    readyWhen: { kind: 'probe', isReady: (signal) => isHealthy(endpoint, signal) },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return { endpoint, service };
}

async function isHealthy(endpoint: string, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(`${endpoint}/health`, { signal });
  const text = await response.text();
  return response.ok && text.includes('"health":"true"');
}
