// Settings of the controller process.

import { namesOf, type Settings, type SettingsTable } from '../lib/config/settings.ts';
import {
  API_CLIENT_SETTINGS,
  certificateSettings,
  LOG_SETTINGS,
  portSetting,
  REDIS_SETTINGS,
  required,
} from '../lib/config/shared-settings.ts';
import { ETCD_SETTINGS } from '../lib/datastore/etcd/settings.ts';

/** What the elected controller can run. */
export const CONTROLLER_NAMES = [
  'namespaces',
  'scheduler',
  'nodes',
  'kubernetes',
  'endpoints',
  'hostendpoints',
  'gc',
] as const;
export type ControllerName = (typeof CONTROLLER_NAMES)[number];

const CERTIFICATES = certificateSettings('API', {
  ca: 'CA of the cluster: clients and nodes are checked against it',
  certificate: 'Server certificate of the API, also shown to nodes',
});

export const CONTROLLER_SETTINGS = {
  name: {
    type: 'text',
    env: 'CONTROLLER_NAME',
    default: 'controller',
    description: 'Name of this controller in logs, events and the election',
  },
  ...LOG_SETTINGS,
  ...ETCD_SETTINGS,
  listenAddress: {
    type: 'text',
    env: 'API_LISTEN_ADDRESS',
    default: '0.0.0.0',
    description: 'Address that the API listens on',
  },
  port: portSetting('API_PORT', 6443, 'Port of the API'),
  ...CERTIFICATES,
  caFile: required(CERTIFICATES.caFile),
  clientCertFile: {
    type: 'text',
    env: 'API_CLIENT_CERT_FILE',
    description: 'Certificate of this controller as a client of the API (PEM)',
    required: true,
  },
  clientKeyFile: { type: 'text', env: 'API_CLIENT_KEY_FILE', description: 'Its key (PEM)', required: true },
  ...REDIS_SETTINGS,
  agentPort: portSetting('AGENT_PORT', 9098, 'Port of the node API that the agents serve', 1),
  serveApi: {
    type: 'boolean',
    env: 'SERVE_API',
    default: true,
    description: 'Serve the Kubernetes-shaped API; without it another API server is used',
  },
  apiServer: {
    ...API_CLIENT_SETTINGS.apiServer,
    description: 'https://host:port of the API server to use when none is served here',
  },
  enabledControllers: {
    type: 'list',
    env: 'ENABLED_CONTROLLERS',
    default: CONTROLLER_NAMES,
    oneOf: CONTROLLER_NAMES,
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

const REQUIRED_TO_SERVE = ['certFile', 'keyFile'] as const;

/** What is missing beyond what is always required. */
export function problemsOf(settings: ControllerSettings): readonly string[] {
  if (!settings.serveApi)
    return settings.apiServer === undefined
      ? [`${namesOf('apiServer', CONTROLLER_SETTINGS.apiServer)} is required where no API is served`]
      : [];
  return REQUIRED_TO_SERVE.filter((name) => settings[name] === undefined).map(
    (name) => `${namesOf(name, CONTROLLER_SETTINGS[name])} is required to serve the API`,
  );
}
