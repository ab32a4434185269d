// This machine as a Kubernetes Node (pure): labels, capacity, addresses and conditions as kubectl and the scheduler read them.

import { isIP } from 'node:net';
import type { Condition, KubernetesNode, KubernetesNodeStatus } from '../../../lib/model/kubernetes-types.ts';

export interface Machine {
  readonly name: string;
  readonly address: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly architecture: 'amd64' | 'arm64' | string;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
  readonly runtimeVersion: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
}

/** Pods that a node takes at most; Kubernetes' own default. */
const MAX_PODS = '110';

export interface Readiness {
  readonly isReady: boolean;
  readonly reason: string;
  readonly message: string;
}

export function nodeLabels({ name, architecture }: Machine): Record<string, string> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': architecture,
  };
}

export function newNode(machine: Machine): KubernetesNode {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: machine.name, labels: nodeLabels(machine) },
    spec: {},
  };
}

/** `before`: conditions as the API has them. `now`: RFC 3339, whole seconds. */
export function nodeStatus(
  machine: Machine,
  readiness: Readiness,
  before: readonly Condition[],
  now: string,
): KubernetesNodeStatus {
  const capacity = {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    pods: MAX_PODS,
  };
  return {
    capacity,
    allocatable: capacity,
    conditions: conditions(readiness, before, now),
    addresses: [
      ...(isIP(machine.address) === 0 ? [] : [{ type: 'InternalIP' as const, address: machine.address }]),
      { type: 'Hostname', address: machine.name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: machine.kubeletPort } },
    nodeInfo: {
      machineID: machine.machineId,
      systemUUID: machine.machineId,
      bootID: machine.bootId,
      kernelVersion: machine.kernelVersion,
      osImage: machine.osImage,
      containerRuntimeVersion: machine.runtimeVersion,
      kubeletVersion: machine.kubeletVersion,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: machine.architecture,
    },
  };
}

function conditions(readiness: Readiness, before: readonly Condition[], now: string): Condition[] {
  const pressure = (type: string, what: string): Condition => ({
    type,
    status: 'False',
    reason: `KubeletHasSufficient${what}`,
    message: `kubelet has sufficient ${what} available`,
  });
  const wanted: Condition[] = [
    pressure('MemoryPressure', 'Memory'),
    pressure('DiskPressure', 'Disk'),
    pressure('PIDPressure', 'PID'),
    {
      type: 'Ready',
      status: readiness.isReady ? 'True' : 'False',
      reason: readiness.reason,
      message: readiness.message,
    },
  ];
  return wanted.map((condition) => {
    const known = before.find(({ type, status }) => type === condition.type && status === condition.status);
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime: known?.lastTransitionTime ?? now };
  });
}
