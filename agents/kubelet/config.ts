// Settings of the kubelet process. Every path that is not given derives from the state directory, as hosts of a lab share
// a file system.

import type { Settings, SettingsTable } from '../../lib/config/settings.ts';

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
  logLevel: {
    type: 'text',
    env: 'LOG_LEVEL',
    default: 'info',
    oneOf: ['error', 'warn', 'info', 'debug'],
    description: 'Least level that is logged',
  },
  apiServer: { type: 'text', env: 'API_SERVER', description: 'https://host:port of the API' },
  apiServerName: {
    type: 'text',
    env: 'API_SERVER_NAME',
    description: "Name in the API's certificate, if it is not the host of apiServer",
  },
  caFile: { type: 'text', env: 'KUBELET_CA_FILE', description: 'CA of the cluster (PEM)' },
  certFile: {
    type: 'text',
    env: 'KUBELET_CERT_FILE',
    description: 'Certificate of this node, as client and as server (PEM)',
  },
  keyFile: { type: 'text', env: 'KUBELET_KEY_FILE', description: 'Its key (PEM)' },
  listenAddress: {
    type: 'text',
    env: 'KUBELET_LISTEN_ADDRESS',
    default: '0.0.0.0',
    description: 'Address on which exec and logs are served to the API',
  },
  port: {
    type: 'number',
    env: 'KUBELET_PORT',
    default: 10250,
    min: 0,
    max: 65535,
    description: 'Its port; 0 takes a free one',
  },
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
} as const satisfies SettingsTable;

export type KubeletSettings = Settings<typeof KUBELET_SETTINGS>;
