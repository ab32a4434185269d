// Reads kubeconfigs as kubectl does: several files make one, the first that names something wins; client certificates only.
// Pure: files are read by the caller.

import { isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import type { KubeClientOptions } from '../../lib/kube-client/client.ts';
import { CliError } from '../cli-error.ts';
import { isObject } from '../manifest/manifest.ts';

export interface KubeconfigFile {
  readonly path: string;
  readonly text: string;
}

type Entry = Readonly<Record<string, unknown>>;
/** An entry with the folder that its relative paths start from. */
interface Found {
  readonly value: Entry;
  readonly directory: string;
}

/** Throws CliError with what is missing. */
export function kubeClientOptions(
  files: readonly KubeconfigFile[],
  wantedContext: string | undefined,
  readFile: (path: string) => string,
): KubeClientOptions {
  const configs = files.map(parseFile);
  const names = files.map(({ path }) => path).join(', ');
  const refuse = (message: string, next?: string): never => {
    const options = next === undefined ? {} : { next };
    throw new CliError({ code: 'connection' }, `kubeconfig ${names}: ${message}`, options);
  };
  const current = configs
    .map(({ value }) => value['current-context'])
    .find((name) => typeof name === 'string' && name !== '');
  const contextName = wantedContext ?? current;
  if (typeof contextName !== 'string') return refuse('it has no current context', 'name one with --context');
  const find = (list: string, field: string, name: unknown): Found =>
    findEntry(configs, list, field, name) ?? refuse(`there is no ${field} ${JSON.stringify(name)}`);
  const context = find('contexts', 'context', contextName);
  const cluster = find('clusters', 'cluster', context.value['cluster']);
  const user = find('users', 'user', context.value['user']);
  const server = cluster.value['server'];
  if (typeof server !== 'string') return refuse('the cluster has no server');
  if (cluster.value['insecure-skip-tls-verify'] === true)
    return refuse('insecure-skip-tls-verify is not served', 'give certificate-authority instead');
  const pem = (from: Found, field: string): string => {
    const data = from.value[`${field}-data`];
    if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
    const path = from.value[field];
    if (typeof path !== 'string')
      return refuse(`there is no ${field}`, 'calicoctl identifies itself by client certificate');
    return readFile(isAbsolute(path) ? path : join(from.directory, path));
  };
  const serverName = cluster.value['tls-server-name'];
  return {
    server,
    ca: pem(cluster, 'certificate-authority'),
    cert: pem(user, 'client-certificate'),
    key: pem(user, 'client-key'),
    ...(typeof serverName === 'string' ? { serverName } : {}),
  };
}

function parseFile({ path, text }: KubeconfigFile): Found {
  try {
    const value: unknown = parse(text);
    if (isObject(value)) return { value, directory: join(path, '..') };
  } catch (cause) {
    throw new CliError({ code: 'connection' }, `kubeconfig ${path} is no YAML`, { cause });
  }
  throw new CliError({ code: 'connection' }, `kubeconfig ${path} is empty`);
}

function findEntry(configs: readonly Found[], list: string, field: string, name: unknown): Found | undefined {
  for (const { value, directory } of configs) {
    const entries = value[list];
    if (!Array.isArray(entries)) continue;
    const entry: unknown = entries.find((item) => isObject(item) && item['name'] === name);
    if (isObject(entry) && isObject(entry[field])) return { value: entry[field], directory };
  }
  return undefined;
}
