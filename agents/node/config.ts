// Settings of the agent. Environment names are those of calico/node where it has one.

import type { Settings, SettingsTable } from '../../lib/config/settings.ts';
import {
  API_CLIENT_SETTINGS,
  certificateSettings,
  LOG_SETTINGS,
  NODE_CERTIFICATES,
  portSetting,
  REDIS_SETTINGS,
} from '../../lib/config/shared-settings.ts';
import { ETCD_SETTINGS } from '../../lib/datastore/etcd/settings.ts';

/** calico/node's words for a pool's tunnel mode; `Off` is `Never`. */
const POOL_MODES = ['Never', 'Off', 'Always', 'CrossSubnet'] as const;

export const AGENT_SETTINGS = {
  nodeName: { type: 'text', env: 'NODENAME', description: 'Name of this node; the host name if left out' },
  stateDir: {
    type: 'text',
    env: 'CALICO_STATE_DIR',
    default: '/var/lib/calico',
    description: 'Directory of all sockets and files of this host',
  },
  ...LOG_SETTINGS,
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
  routerId: {
    type: 'text',
    env: 'CALICO_ROUTER_ID',
    description:
      "BGP identifier: an IPv4 address, or `hash` for one made of the node's name; the node's IPv4 address if left out",
  },
  advertiseClusterIps: {
    type: 'list',
    env: 'CALICO_ADVERTISE_CLUSTER_IPS',
    description:
      "Networks of cluster addresses that BGP announces, in place of BGPConfiguration's serviceClusterIPs",
  },
  bgpHandoverSeconds: {
    type: 'number',
    env: 'BGP_HANDOVER_SECONDS',
    default: 60,
    min: 0,
    max: 3600,
    description: 'How long BGP sessions that a change of topology ends are kept until others have taken over',
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
  ipv4PoolVxlan: {
    type: 'text',
    env: 'CALICO_IPV4POOL_VXLAN',
    default: 'Never',
    oneOf: POOL_MODES,
    description: 'VXLAN of that pool; CrossSubnet: between subnets only',
  },
  ipv4PoolIpip: {
    type: 'text',
    env: 'CALICO_IPV4POOL_IPIP',
    default: 'Never',
    oneOf: POOL_MODES,
    description: 'IPIP of that pool, if it has no VXLAN',
  },
  ipv6PoolCidr: {
    type: 'text',
    env: 'CALICO_IPV6POOL_CIDR',
    default: 'none',
    description: 'IPv6 pool made when there is none; `none`: no pool',
  },
  ipv6PoolVxlan: {
    type: 'text',
    env: 'CALICO_IPV6POOL_VXLAN',
    default: 'Never',
    oneOf: POOL_MODES,
    description: 'VXLAN of that pool',
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
    description: "MTU of workloads; 0: the least of the host's interfaces, less what tunnels take",
  },
  ...API_CLIENT_SETTINGS,
  ...certificateSettings('NODE', NODE_CERTIFICATES),
  apiPort: portSetting('AGENT_PORT', 9098, 'Port of the node API (HTTPS, client certificates)'),
  healthPort: {
    type: 'number',
    min: 0,
    max: 65535,
    description:
      "Port of health and metrics on localhost, in place of FelixConfiguration's healthPort (9099)",
  },
  felixConfigFile: {
    type: 'text',
    env: 'CALICO_FELIX_CONFIG_FILE',
    default: '/etc/calico/felix.cfg',
    description:
      "Felix's settings of this host, below FELIX_* variables and above the datastore; it may be missing",
  },
  establishedFlows: {
    type: 'text',
    env: 'CALICO_ESTABLISHED_FLOWS',
    default: 'judge',
    oneOf: ['judge', 'keep'],
    description:
      'Whether a policy change acts on live flows, or lets those that were allowed run on as Calico does',
  },
  ...REDIS_SETTINGS,
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
