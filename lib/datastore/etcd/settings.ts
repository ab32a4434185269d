// The settings by which every process of ours is told where etcd is, under the names that Calico's tools use.

import type { Settings, SettingsTable } from '../../config/settings.ts';
import type { EtcdOptions } from './options.ts';

export const ETCD_SETTINGS = {
  etcdEndpoints: {
    type: 'list',
    env: 'ETCD_ENDPOINTS',
    description: 'etcd members, as https://host:port, separated by commas',
    required: true,
  },
  etcdCaCertFile: { type: 'text', env: 'ETCD_CA_CERT_FILE', description: 'CA of the etcd members (PEM)' },
  etcdCertFile: { type: 'text', env: 'ETCD_CERT_FILE', description: 'Client certificate for etcd (PEM)' },
  etcdKeyFile: { type: 'text', env: 'ETCD_KEY_FILE', description: 'Its key (PEM)' },
  etcdServerName: {
    type: 'text',
    env: 'ETCD_SERVER_NAME',
    description: "Name in the members' certificates, where endpoints are addresses",
  },
} as const satisfies SettingsTable;

/** Endpoints and TLS as the settings say. */
export function etcdOptionsOf(
  settings: Settings<typeof ETCD_SETTINGS>,
): Pick<EtcdOptions, 'endpoints' | 'tls'> {
  const {
    etcdEndpoints: endpoints,
    etcdCaCertFile: caFile,
    etcdCertFile: certFile,
    etcdKeyFile: keyFile,
  } = settings;
  if (caFile === undefined) return { endpoints };
  return {
    endpoints,
    tls: {
      caFile,
      ...(certFile === undefined ? {} : { certFile }),
      ...(keyFile === undefined ? {} : { keyFile }),
      ...(settings.etcdServerName === undefined ? {} : { serverName: settings.etcdServerName }),
    },
  };
}
