import { describe, expect, it } from '@jest/globals';
import {
  type ContainerObservation,
  computePodStatus,
  type PodObservation,
  qosClass,
} from '../../../agents/kubelet/pods/pod-status.ts';
import type { Pod, PodSpec } from '../../../lib/model/kubernetes-pod-types.ts';

const EARLIER = '2026-01-01T00:00:00Z';
const NOW = '2026-01-01T00:01:00Z';
const startedAt = new Date('2026-01-01T00:00:30Z');
const finishedAt = new Date('2026-01-01T00:00:40Z');

function pod(spec: Partial<PodSpec> = {}, status: Pod['status'] = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
    status,
  };
}
const base: PodObservation = {
  hostIp: '10.0.0.1',
  podIps: ['192.168.0.1', 'fd00::1'],
  startTime: EARLIER,
  now: NOW,
  hasSandbox: true,
  containers: new Map(),
  result: undefined,
  problem: undefined,
};
const running: ContainerObservation = {
  state: { kind: 'running', startedAt, id: 'process://u/main/0' },
  previous: undefined,
  restartCount: 0,
  imageId: 'built-in:busybox',
  waiting: undefined,
};
const ended = (exitCode: number): ContainerObservation['state'] => ({
  kind: 'exited',
  exitCode,
  startedAt,
  finishedAt,
  id: 'process://u/main/0',
  reason: exitCode === 0 ? 'Completed' : 'Error',
});
const conditions = (status: Pod['status']): Record<string, string> =>
  Object.fromEntries((status?.conditions ?? []).map((each) => [each.type, each.status]));

describe('computePodStatus', () => {
  it('says of a pod whose containers run all that kubectl wants to know', () => {
    const status = computePodStatus(pod(), { ...base, containers: new Map([['main', running]]) });
    expect(status).toMatchObject({
      phase: 'Running',
      hostIP: '10.0.0.1',
      hostIPs: [{ ip: '10.0.0.1' }],
      podIP: '192.168.0.1',
      podIPs: [{ ip: '192.168.0.1' }, { ip: 'fd00::1' }],
      startTime: EARLIER,
      qosClass: 'BestEffort',
      containerStatuses: [
        {
          name: 'main',
          image: 'busybox',
          imageID: 'built-in:busybox',
          containerID: 'process://u/main/0',
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: '2026-01-01T00:00:30Z' } },
        },
      ],
    });
    expect(conditions(status)).toEqual({
      PodReadyToStartContainers: 'True',
      Initialized: 'True',
      Ready: 'True',
      ContainersReady: 'True',
      PodScheduled: 'True',
    });
  });

  it('says what a pod without a sandbox waits for', () => {
    const problem = { reason: 'ContainerCreating', message: 'Failed to create pod sandbox: pool is full' };
    const status = computePodStatus(pod(), { ...base, podIps: [], hasSandbox: false, problem });
    expect(status.phase).toBe('Pending');
    expect(status).not.toHaveProperty('podIP');
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'ContainerCreating' } });
    expect(status.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'Failed to create pod sandbox: pool is full',
    });
  });

  it('shows a back-off with what ended before it', () => {
    const waiting = { reason: 'CrashLoopBackOff', message: 'back-off 10s' };
    const seen = { ...running, state: ended(3), restartCount: 2, waiting };
    const status = computePodStatus(pod(), { ...base, containers: new Map([['main', seen]]) });
    expect(status.phase).toBe('Running');
    expect(status.containerStatuses?.[0]).toMatchObject({
      ready: false,
      restartCount: 2,
      state: { waiting },
      lastState: { terminated: { exitCode: 3, reason: 'Error', finishedAt: '2026-01-01T00:00:40Z' } },
    });
  });

  it.each([
    ['Succeeded', 0, 'PodCompleted'],
    ['Failed', 3, 'PodFailed'],
  ] as const)('a pod that has ended: %s', (result, code, reason) => {
    const seen = { ...running, state: ended(code) };
    const status = computePodStatus(pod(), { ...base, result, containers: new Map([['main', seen]]) });
    expect(status.phase).toBe(result);
    expect(status.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason,
    });
    expect(status.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(code);
  });

  it('keeps the time of a condition that stays as it is, and conditions of others', () => {
    const before = {
      conditions: [
        { type: 'Initialized', status: 'True' as const, lastTransitionTime: EARLIER },
        { type: 'Ready', status: 'False' as const, lastTransitionTime: EARLIER },
        { type: 'example.org/gate', status: 'True' as const, lastTransitionTime: EARLIER },
      ],
    };
    const seen = new Map([['main', running]]);
    const { conditions: after = [] } = computePodStatus(pod({}, before), { ...base, containers: seen });
    const times = Object.fromEntries(after.map((each) => [each.type, each.lastTransitionTime]));
    expect(times).toMatchObject({ Initialized: EARLIER, Ready: NOW, 'example.org/gate': EARLIER });
  });

  it('is pending and not initialized while an init container runs', () => {
    const spec = { initContainers: [{ name: 'init', image: 'busybox' }] };
    const status = computePodStatus(pod(spec), { ...base, containers: new Map([['init', running]]) });
    expect(status.phase).toBe('Pending');
    expect(conditions(status)).toMatchObject({ Initialized: 'False', Ready: 'False' });
    expect(status.initContainerStatuses?.[0]).toMatchObject({ name: 'init', ready: false });
  });
});

describe('qosClass', () => {
  const of = (resources: object): string => qosClass({ containers: [{ name: 'a', resources }] });
  it.each([
    [{}, 'BestEffort'],
    [{ requests: { cpu: '1' } }, 'Burstable'],
    [{ limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'],
    [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }, 'Burstable'],
  ])('%j is %s', (resources, expected) => {
    expect(of(resources)).toBe(expected);
  });
});
