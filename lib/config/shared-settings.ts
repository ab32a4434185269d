// Settings that more than one program has, so that they read and are called alike everywhere. etcd's are beside its client
// (lib/datastore/etcd/settings.ts).

import type { RedisAddress } from '../events/redis-stream.ts';
import { LOG_LEVELS } from '../logging/logger.ts';
import type { NumberSetting, Settings, SettingsTable, TextSetting } from './settings.ts';

export const LOG_SETTINGS = {
  logLevel: {
    type: 'text',
    env: 'LOG_LEVEL',
    default: 'info',
    oneOf: LOG_LEVELS,
    description: 'Least level that is logged',
  },
} as const satisfies SettingsTable;

export const REDIS_SETTINGS = {
  redisUrl: {
    type: 'text',
    env: 'REDIS_URL',
    description:
      'Redis for the event stream: redis://, rediss:// or unix:///path; without it events stay on the hosts',
  },
  redisCaFile: { type: 'text', env: 'REDIS_CA_FILE', description: 'CA of Redis (PEM)' },
  redisCertFile: { type: 'text', env: 'REDIS_CERT_FILE', description: 'Client certificate for Redis (PEM)' },
  redisKeyFile: { type: 'text', env: 'REDIS_KEY_FILE', description: 'Its key (PEM)' },
} as const satisfies SettingsTable;

/** Undefined where no Redis is set. */
export function redisAddressOf(settings: Settings<typeof REDIS_SETTINGS>): RedisAddress | undefined {
  const { redisUrl: url, redisCaFile: caFile, redisCertFile: certFile, redisKeyFile: keyFile } = settings;
  return url === undefined ? undefined : { url, caFile, certFile, keyFile };
}

/** Of a client of the Kubernetes API. */
export const API_CLIENT_SETTINGS = {
  apiServer: { type: 'text', env: 'API_SERVER', description: 'https://host:port of the Kubernetes API' },
  apiServerName: {
    type: 'text',
    env: 'API_SERVER_NAME',
    description: "Name in the API's certificate, if it is not the host of apiServer",
  },
} as const satisfies SettingsTable;

interface CertificateSettings {
  readonly caFile: TextSetting;
  readonly certFile: TextSetting;
  readonly keyFile: TextSetting;
}

/** `variables`: what the environment variables begin with, such as `NODE`; the rest says whose certificates they are. */
export function certificateSettings(
  variables: string,
  { ca, certificate }: { readonly ca: string; readonly certificate: string },
): CertificateSettings {
  return {
    caFile: { type: 'text', env: `${variables}_CA_FILE`, description: `${ca} (PEM)` },
    certFile: { type: 'text', env: `${variables}_CERT_FILE`, description: `${certificate} (PEM)` },
    keyFile: { type: 'text', env: `${variables}_KEY_FILE`, description: 'Its key (PEM)' },
  };
}

/** Of agent and kubelet alike. */
export const NODE_CERTIFICATES = {
  ca: 'CA of the cluster',
  certificate: 'Certificate of this node, as client and as server',
};

/** The program does not start without it. */
export function required<T extends TextSetting>(setting: T): T & { readonly required: true } {
  return { ...setting, required: true };
}

/** 0, where it is allowed, takes a free port. */
export function portSetting<const Port extends number>(
  env: string,
  port: Port,
  description: string,
  min: 0 | 1 = 0,
): NumberSetting & { readonly default: Port } {
  return { type: 'number', env, default: port, min, max: 65535, description };
}
