// Settings of the controller process.

import type { Settings, SettingsTable } from '../lib/config/settings.ts';
import { ETCD_SETTINGS } from '../lib/datastore/etcd/settings.ts';

export const CONTROLLER_SETTINGS = {
  name: {
    type: 'text',
    env: 'CONTROLLER_NAME',
    default: 'controller',
    description: 'Name of this controller in logs, events and the election',
  },
  logLevel: {
    type: 'text',
    env: 'LOG_LEVEL',
    default: 'info',
    oneOf: ['error', 'warn', 'info', 'debug'],
    description: 'Least level that is logged',
  },
  ...ETCD_SETTINGS,
  listenAddress: {
    type: 'text',
    env: 'API_LISTEN_ADDRESS',
    default: '0.0.0.0',
    description: 'Address that the API listens on',
  },
  port: {
    type: 'number',
    env: 'API_PORT',
    default: 6443,
    min: 0,
    max: 65535,
    description: 'Port of the API',
  },
  caFile: {
    type: 'text',
    env: 'API_CA_FILE',
    description: 'CA of the cluster: clients and nodes are checked against it (PEM)',
  },
  certFile: {
    type: 'text',
    env: 'API_CERT_FILE',
    description: 'Server certificate of the API, also shown to nodes (PEM)',
  },
  keyFile: { type: 'text', env: 'API_KEY_FILE', description: 'Its key (PEM)' },
  clientCertFile: {
    type: 'text',
    env: 'API_CLIENT_CERT_FILE',
    description: 'Certificate of this controller as a client of the API (PEM)',
  },
  clientKeyFile: { type: 'text', env: 'API_CLIENT_KEY_FILE', description: 'Its key (PEM)' },
  redisUrl: {
    type: 'text',
    env: 'REDIS_URL',
    description:
      'Redis for the event stream: redis://, rediss:// or unix:///path; without it events stay on the hosts',
  },
  redisCaFile: { type: 'text', env: 'REDIS_CA_FILE', description: 'CA of Redis (PEM)' },
  redisCertFile: { type: 'text', env: 'REDIS_CERT_FILE', description: 'Client certificate for Redis (PEM)' },
  redisKeyFile: { type: 'text', env: 'REDIS_KEY_FILE', description: 'Its key (PEM)' },
  agentPort: {
    type: 'number',
    env: 'AGENT_PORT',
    default: 9098,
    min: 1,
    max: 65535,
    description: 'Port of the node API that the agents serve',
  },
  serveApi: {
    type: 'boolean',
    env: 'SERVE_API',
    default: true,
    description: 'Serve the Kubernetes-shaped API; without it another API server is used',
  },
  apiServer: {
    type: 'text',
    env: 'API_SERVER',
    description: 'https://host:port of the API server to use when none is served here',
  },
  enabledControllers: {
    type: 'list',
    env: 'ENABLED_CONTROLLERS',
    default: ['namespaces', 'scheduler', 'nodes', 'kubernetes', 'gc'],
    description: 'What the elected controller runs',
  },
  election: {
    type: 'text',
    env: 'ELECTION_NAME',
    default: 'leader',
    description: 'Controllers of one election never act at the same time',
  },
  nodeGraceSeconds: {
    type: 'number',
    env: 'NODE_GRACE_SECONDS',
    default: 40,
    min: 1,
    max: 3600,
    description: 'A node silent for so long is NotReady',
  },
  nodeRemovalSeconds: {
    type: 'number',
    env: 'NODE_REMOVAL_SECONDS',
    default: 0,
    min: 0,
    max: 86400,
    description: 'A node silent for so long leaves the cluster; 0: only when its Node is deleted by hand',
  },
  registrationGraceSeconds: {
    type: 'number',
    env: 'REGISTRATION_GRACE_SECONDS',
    default: 15,
    min: 1,
    max: 3600,
    description: 'A Calico Node without its Kubernetes Node for so long is one that has left',
  },
  leakGraceSeconds: {
    type: 'number',
    env: 'LEAK_GRACE_SECONDS',
    default: 900,
    min: 0,
    max: 86400,
    description:
      'Addresses, endpoints and empty blocks that nobody has used for so long are given back; 0: only those of hosts that left',
  },
  leaseSeconds: {
    type: 'number',
    env: 'LEADER_LEASE_SECONDS',
    default: 5,
    min: 3,
    max: 60,
    description: 'Lease of the elected controller',
  },
} as const satisfies SettingsTable;

export type ControllerSettings = Settings<typeof CONTROLLER_SETTINGS>;
