// Settings of the kubelet process. Every path that is not given derives from the state directory, as hosts of a lab share
// a file system.

import type { Settings, SettingsTable } from '../../lib/config/settings.ts';
import {
  API_CLIENT_SETTINGS,
  certificateSettings,
  LOG_SETTINGS,
  NODE_CERTIFICATES,
  portSetting,
  required,
} from '../../lib/config/shared-settings.ts';

const CERTIFICATES = certificateSettings('KUBELET', NODE_CERTIFICATES);

export const KUBELET_SETTINGS = {
  nodeName: { type: 'text', env: 'NODE_NAME', description: 'Name of this node; the host name if left out' },
  nodeIp: {
    type: 'text',
    env: 'NODE_IP',
    description: 'Address under which the API reaches this kubelet; of the route to the API if left out',
  },
  stateDir: {
    type: 'text',
    env: 'KUBELET_STATE_DIR',
    default: '/var/lib/calico-ts/kubelet',
    description: 'What must survive a restart of the kubelet: sandboxes, containers, logs',
  },
  ...LOG_SETTINGS,
  ...API_CLIENT_SETTINGS,
  apiServer: required(API_CLIENT_SETTINGS.apiServer),
  caFile: required(CERTIFICATES.caFile),
  certFile: required(CERTIFICATES.certFile),
  keyFile: required(CERTIFICATES.keyFile),
  listenAddress: {
    type: 'text',
    env: 'KUBELET_LISTEN_ADDRESS',
    default: '0.0.0.0',
    description: 'Address on which exec and logs are served to the API',
  },
  port: portSetting('KUBELET_PORT', 10250, 'Its port; 0 takes a free one'),
  leaseSeconds: {
    type: 'number',
    env: 'KUBELET_LEASE_SECONDS',
    default: 3,
    min: 1,
    max: 10,
    description: 'How often the lease of the node is renewed',
  },
  cniSocket: {
    type: 'text',
    env: 'CALICO_CNI_SOCKET',
    default: '/run/calico/cni.sock',
    description: "The agent's CNI socket, handed to the plugin",
  },
  eventSocket: {
    type: 'text',
    env: 'CALICO_EVENT_SOCKET',
    description:
      "The agent's event socket, through which events reach the cluster's log; only logged if left out",
  },
  cniPlugin: {
    type: 'text',
    env: 'CNI_PLUGIN',
    description: 'Another CNI plugin program instead of our own',
  },
  cniNetwork: {
    type: 'text',
    env: 'CNI_NETWORK',
    default: 'k8s-pod-network',
    description: 'Name of the network in the CNI configuration',
  },
  busybox: {
    type: 'text',
    env: 'BUSYBOX',
    description: 'The static busybox of the built-in images; looked for on the PATH if left out',
  },
  dockerSocket: {
    type: 'text',
    env: 'DOCKER_SOCKET',
    description: 'Socket of a Docker engine that runs all images that are not built in',
  },
  dockerSandboxImage: {
    type: 'text',
    env: 'DOCKER_SANDBOX_IMAGE',
    default: 'calico-ts:latest',
    description: "Image, with busybox in it, of the container that holds a pod's network namespace",
  },
  dockerCluster: {
    type: 'text',
    env: 'DOCKER_CLUSTER',
    default: 'calico-ts',
    description: 'Label `calico-ts.dev/cluster` of what it makes in a Docker engine',
  },
} as const satisfies SettingsTable;

export type KubeletSettings = Settings<typeof KUBELET_SETTINGS>;
