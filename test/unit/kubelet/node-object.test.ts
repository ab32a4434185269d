import { describe, expect, it } from '@jest/globals';
import { type Machine, nodeLabels, nodeStatus } from '../../../agents/kubelet/node/node-object.ts';

const machine: Machine = {
  name: 'node-1',
  address: '10.0.0.1',
  cpus: 2,
  memoryBytes: 1024 * 1024,
  architecture: 'amd64',
  kernelVersion: '6.1',
  osImage: 'Debian',
  machineId: 'm',
  bootId: 'b',
  runtimeVersion: 'process://1',
  kubeletVersion: 'v1',
  kubeletPort: 10250,
};
const EARLIER = '2026-01-01T00:00:00Z';
const NOW = '2026-01-01T00:01:00Z';
const ready = { isReady: true, reason: 'KubeletReady', message: 'ok' };

describe('nodeStatus', () => {
  it('tells where exec and logs are served, what fits, and under which addresses', () => {
    expect(nodeStatus(machine, ready, [], NOW)).toMatchObject({
      capacity: { cpu: '2', memory: '1024Ki', pods: '110' },
      addresses: [
        { type: 'InternalIP', address: '10.0.0.1' },
        { type: 'Hostname', address: 'node-1' },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      nodeInfo: { operatingSystem: 'linux', architecture: 'amd64', containerRuntimeVersion: 'process://1' },
    });
  });

  it('moves the transition time only when the verdict changes', () => {
    const before = [{ type: 'Ready', status: 'True' as const, lastTransitionTime: EARLIER }];
    const readyOf = (isReady: boolean) =>
      nodeStatus(machine, { ...ready, isReady }, before, NOW).conditions?.find(
        ({ type }) => type === 'Ready',
      );
    expect(readyOf(true)).toMatchObject({
      status: 'True',
      lastTransitionTime: EARLIER,
      lastHeartbeatTime: NOW,
    });
    expect(readyOf(false)).toMatchObject({ status: 'False', lastTransitionTime: NOW });
  });
});

describe('nodeLabels', () => {
  it('are the well-known ones', () => {
    expect(nodeLabels(machine)).toEqual({
      'kubernetes.io/hostname': 'node-1',
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': 'amd64',
    });
  });
});
