// Settings of the agent. Environment names are those of calico/node where it has one.

import type { Settings, SettingsTable } from '../../lib/config/settings.ts';
import { ETCD_SETTINGS } from '../../lib/datastore/etcd/settings.ts';

export const AGENT_SETTINGS = {
  nodeName: { type: 'text', env: 'NODENAME', description: 'Name of this node; the host name if left out' },
  stateDir: {
    type: 'text',
    env: 'CALICO_STATE_DIR',
    default: '/var/lib/calico',
    description: 'Directory of all sockets and files of this host',
  },
  logLevel: {
    type: 'text',
    env: 'LOG_LEVEL',
    default: 'info',
    oneOf: ['error', 'warn', 'info', 'debug'],
    description: 'Least level that is logged',
  },
  ...ETCD_SETTINGS,
  ip: {
    type: 'text',
    env: 'IP',
    default: 'autodetect',
    description: 'IPv4 address of the node with its prefix length, `autodetect` or `none`',
  },
  ip6: {
    type: 'text',
    env: 'IP6',
    default: 'none',
    description: 'IPv6 address of the node with its prefix length, `autodetect` or `none`',
  },
  asNumber: {
    type: 'number',
    env: 'AS',
    min: 1,
    max: 4294967295,
    description: "AS number of this node, if not the cluster's",
  },
  ipv4PoolCidr: {
    type: 'text',
    env: 'CALICO_IPV4POOL_CIDR',
    default: '192.168.0.0/16',
    description: 'IPv4 pool made when there is none; `none`: no pool',
  },
  ipv4PoolNatOutgoing: {
    type: 'boolean',
    env: 'CALICO_IPV4POOL_NAT_OUTGOING',
    default: true,
    description: 'NAT outgoing of that pool',
  },
  ipv4PoolBlockSize: {
    type: 'number',
    env: 'CALICO_IPV4POOL_BLOCK_SIZE',
    default: 26,
    min: 20,
    max: 32,
    description: 'Block size of that pool',
  },
  ipv6PoolCidr: {
    type: 'text',
    env: 'CALICO_IPV6POOL_CIDR',
    default: 'none',
    description: 'IPv6 pool made when there is none; `none`: no pool',
  },
  noDefaultPools: {
    type: 'boolean',
    env: 'NO_DEFAULT_POOLS',
    default: false,
    description: 'Never make pools',
  },
  mtu: {
    type: 'number',
    env: 'CALICO_MTU',
    default: 0,
    min: 0,
    max: 65535,
    description: "MTU of workloads; 0: that of the node's interface",
  },
  apiServer: {
    type: 'text',
    env: 'API_SERVER',
    description: 'https://host:port of the Kubernetes API, for pods',
  },
  apiServerName: {
    type: 'text',
    env: 'API_SERVER_NAME',
    description: 'Name in its certificate, if another than the host',
  },
  caFile: { type: 'text', env: 'NODE_CA_FILE', description: 'CA of the cluster (PEM)' },
  certFile: {
    type: 'text',
    env: 'NODE_CERT_FILE',
    description: 'Certificate of this node, as client and as server (PEM)',
  },
  keyFile: { type: 'text', env: 'NODE_KEY_FILE', description: 'Its key (PEM)' },
  apiPort: {
    type: 'number',
    env: 'AGENT_PORT',
    default: 9098,
    min: 0,
    max: 65535,
    description: 'Port of the node API (HTTPS, client certificates)',
  },
  healthPort: {
    type: 'number',
    env: 'FELIX_HEALTHPORT',
    default: 9099,
    min: 0,
    max: 65535,
    description: 'Port of health and metrics on localhost',
  },
  redisUrl: {
    type: 'text',
    env: 'REDIS_URL',
    description: 'Redis for the event stream; without it events stay on the host',
  },
  redisCaFile: { type: 'text', env: 'REDIS_CA_FILE', description: 'CA of Redis (PEM)' },
  redisCertFile: { type: 'text', env: 'REDIS_CERT_FILE', description: 'Client certificate for Redis (PEM)' },
  redisKeyFile: { type: 'text', env: 'REDIS_KEY_FILE', description: 'Its key (PEM)' },
  cniWaitSeconds: {
    type: 'number',
    env: 'CNI_WAIT_SECONDS',
    default: 10,
    min: 1,
    max: 80,
    description: 'How long an ADD waits for a condition before it says "try again later"',
  },
} as const satisfies SettingsTable;

export type AgentSettings = Settings<typeof AGENT_SETTINGS>;
