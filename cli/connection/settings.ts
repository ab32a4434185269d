// What calicoctl connects to, from its configuration file or, where there is none, from the environment, as Calico's own
// (libcalico-go/lib/apiconfig). Pure: files are read by the caller.

import { parse } from 'yaml';
import type { EtcdOptions } from '../../lib/datastore/etcd/options.ts';
import { CliError } from '../cli-error.ts';
import { isObject } from '../manifest/manifest.ts';

export const DEFAULT_CONFIG_FILE = '/etc/calico/calicoctl.cfg';
const DEFAULT_ETCD = 'http://127.0.0.1:2379';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConnectionSettings {
  /** Undefined: the API by kubeconfig. */
  readonly etcd: EtcdOptions | undefined;
  /** Paths, first match wins; undefined: `~/.kube/config`. */
  readonly kubeconfig: string | undefined;
}

/** Names in the file; in the environment the same in upper snake case, with or without `CALICO_` in front. */
const NAMES = [
  'datastoreType',
  'kubeconfig',
  'etcdEndpoints',
  'etcdDiscoverySrv',
  'etcdUsername',
  'etcdPassword',
  'etcdCACertFile',
  'etcdCertFile',
  'etcdKeyFile',
  'etcdCACert',
  'etcdCert',
  'etcdKey',
] as const;
type Values = Partial<Record<(typeof NAMES)[number], string>>;
const UNSERVED = ['etcdDiscoverySrv', 'etcdCACert', 'etcdCert', 'etcdKey'] as const;

/** `etcdCACertFile` → `ETCD_CA_CERT_FILE`. */
function variableOf(name: string): string {
  return name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toUpperCase();
}

export function settingsFromEnvironment(env: Environment): ConnectionSettings {
  const values: Values = {};
  for (const name of NAMES) {
    const variable = variableOf(name);
    const value = env[`CALICO_${variable}`] ?? env[variable];
    if (value !== undefined && value !== '') values[name] = value;
  }
  return settingsOf(values, (name) => variableOf(name));
}

/** Throws CliError for a file that is no `CalicoAPIConfig` or says what is not known here. */
export function settingsFromFile(path: string, text: string, env: Environment): ConnectionSettings {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new CliError({ code: 'connection' }, `Error reading config file: ${path}: ${reason}`, { cause });
  };
  let file: unknown;
  try {
    file = parse(text);
  } catch (error) {
    return refuse(String((error as { message?: unknown }).message), error);
  }
  if (!isObject(file) || file['kind'] !== 'CalicoAPIConfig')
    return refuse('it must be an object of kind CalicoAPIConfig');
  const spec = isObject(file['spec']) ? file['spec'] : {};
  const unknown = Object.keys(spec).filter((name) => !(NAMES as readonly string[]).includes(name));
  if (unknown.length > 0) return refuse(`unknown fields in spec: ${unknown.join(', ')}`);
  const entries = Object.entries(spec).filter(([, value]) => value !== '' && value !== null);
  const values = Object.fromEntries(entries.map(([name, value]) => [name, String(value)])) as Values;
  const settings = settingsOf(values, (name) => `spec.${name} of ${path}`);
  return { ...settings, kubeconfig: settings.kubeconfig ?? env['KUBECONFIG'] };
}

function settingsOf(values: Values, nameOf: (name: string) => string): ConnectionSettings {
  const refuse = (message: string, next: string): never => {
    throw new CliError({ code: 'connection' }, message, { next });
  };
  for (const name of UNSERVED)
    if (values[name] !== undefined)
      refuse(`${nameOf(name)} is not served`, 'name etcd by etcdEndpoints, and certificates by their files');
  const { kubeconfig, datastoreType } = values;
  if (!usesEtcd(datastoreType, values, nameOf)) return { etcd: undefined, kubeconfig };
  const { etcdCACertFile, etcdCertFile, etcdKeyFile, etcdUsername, etcdPassword } = values;
  if ((etcdCertFile === undefined) !== (etcdKeyFile === undefined))
    refuse(`${nameOf('etcdCertFile')} and ${nameOf('etcdKeyFile')} belong together`, 'set both, or neither');
  if (etcdCertFile !== undefined && etcdCACertFile === undefined)
    refuse(`${nameOf('etcdCACertFile')} is missing`, 'name the CA that signed the certificates of etcd');
  const endpoints = (values.etcdEndpoints ?? DEFAULT_ETCD).split(',').map((endpoint) => endpoint.trim());
  const tls =
    etcdCACertFile === undefined
      ? {}
      : {
          tls: {
            caFile: etcdCACertFile,
            ...(etcdCertFile === undefined ? {} : { certFile: etcdCertFile }),
            ...(etcdKeyFile === undefined ? {} : { keyFile: etcdKeyFile }),
          },
        };
  const auth =
    etcdUsername === undefined || etcdPassword === undefined
      ? {}
      : { auth: { username: etcdUsername, password: etcdPassword } };
  return { etcd: { endpoints, ...tls, ...auth }, kubeconfig };
}

function usesEtcd(type: string | undefined, values: Values, nameOf: (name: string) => string): boolean {
  switch (type?.toLowerCase()) {
    case undefined:
      return values.etcdEndpoints !== undefined;
    case 'etcdv3':
      return true;
    case 'kubernetes':
      return false;
    default:
      throw new CliError({ code: 'connection' }, `${nameOf('datastoreType')}: unknown type ${type}`, {
        next: 'it is etcdv3 or kubernetes',
      });
  }
}
