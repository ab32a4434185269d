// Opens what a command works on: the backend of resources, and the controller's API for commands about nodes and events.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatastoreError } from '../../lib/datastore/datastore.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { ApiBackend } from '../backend/api-backend.ts';
import type { Backend } from '../backend/backend.ts';
import { EtcdBackend } from '../backend/etcd-backend.ts';
import { CliError, UNREACHABLE } from '../cli-error.ts';
import { kubeClientOptions } from './kubeconfig.ts';
import {
  type ConnectionSettings,
  DEFAULT_CONFIG_FILE,
  type Environment,
  settingsFromEnvironment,
  settingsFromFile,
} from './settings.ts';

export interface ConnectionOptions {
  readonly config?: string;
  readonly context?: string;
}

export class Connections {
  readonly #env: Environment;
  readonly #options: ConnectionOptions;
  readonly #signal: AbortSignal;

  constructor(env: Environment, options: ConnectionOptions, signal: AbortSignal) {
    this.#env = env;
    this.#options = options;
    this.#signal = signal;
  }

  /** Runs the work on etcd or the API, whichever is configured, and closes it. */
  async withBackend<T>(work: (backend: Backend) => Promise<T>): Promise<T> {
    const settings = this.#settings();
    const backend =
      settings.etcd === undefined
        ? new ApiBackend(this.#kubeClient(settings), this.#signal)
        : new EtcdBackend(openEtcd(settings.etcd), this.#signal);
    try {
      return await work(backend);
    } catch (error) {
      throw withEndpoints(error, settings);
    } finally {
      await backend.close();
    }
  }

  /** Runs the work on the controller's API: node commands need no secret of etcd or Redis. */
  async withApi<T>(work: (client: KubeClient) => Promise<T>): Promise<T> {
    const client = this.#kubeClient(this.#settings());
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  #settings(): ConnectionSettings {
    const path = this.#options.config ?? DEFAULT_CONFIG_FILE;
    if (this.#options.config === undefined && !existsSync(path)) return settingsFromEnvironment(this.#env);
    return settingsFromFile(path, readText(path, 'Error reading config file'), this.#env);
  }

  #kubeClient(settings: ConnectionSettings): KubeClient {
    const home = this.#env['HOME'] ?? '/';
    const paths = (settings.kubeconfig ?? join(home, '.kube', 'config'))
      .split(':')
      .filter((path) => path !== '');
    const found = paths.filter((path) => existsSync(path));
    if (found.length === 0)
      throw new CliError({ code: 'connection' }, `there is no kubeconfig ${paths.join(', ')}`, {
        next: 'set KUBECONFIG to the kubeconfig of the cluster, or ETCD_ENDPOINTS to work on etcd itself (not for node and events)',
      });
    const files = found.map((path) => ({ path, text: readText(path, 'cannot read kubeconfig') }));
    const read = (path: string): string => readText(path, 'cannot read certificate');
    return new KubeClient(kubeClientOptions(files, this.#options.context, read));
  }
}

/** etcd's client does not say which etcd it is that does not answer. */
function withEndpoints(error: unknown, { etcd }: ConnectionSettings): unknown {
  const isAway =
    error instanceof DatastoreError && (error.type.code === 'unavailable' || error.type.code === 'timeout');
  if (!isAway || etcd === undefined) return error;
  const message = `etcd at ${etcd.endpoints.join(',')} does not answer (${error.message})`;
  return new CliError({ code: 'connection' }, message, { next: UNREACHABLE, cause: error });
}

function openEtcd(options: NonNullable<ConnectionSettings['etcd']>): EtcdDatastore {
  try {
    return new EtcdDatastore(options);
  } catch (cause) {
    const reason = String((cause as { message?: unknown }).message);
    throw new CliError(
      { code: 'connection' },
      `cannot use etcd at ${options.endpoints.join(',')}: ${reason}`,
      { cause },
    );
  }
}

function readText(path: string, complaint: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    const reason = code === 'ENOENT' ? 'it does not exist' : String(code);
    throw new CliError({ code: 'connection' }, `${complaint}: ${path}: ${reason}`, { cause });
  }
}
