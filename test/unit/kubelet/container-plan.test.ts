import { describe, expect, it } from '@jest/globals';
import {
  type ContainerView,
  formatBackOff,
  planContainers,
} from '../../../agents/kubelet/pods/container-plan.ts';
import type { PodSpec } from '../../../lib/model/kubernetes-pod-types.ts';

const NOW = Date.parse('2026-01-01T00:10:00Z');
const running: ContainerView = {
  attempt: 0,
  state: { kind: 'running', startedAt: new Date(NOW - 5000), id: 'x' },
};

function exited(exitCode: number, attempt: number, endedMsAgo: number, ranMs = 1000): ContainerView {
  const finishedAt = new Date(NOW - endedMsAgo);
  const startedAt = new Date(finishedAt.getTime() - ranMs);
  return { attempt, state: { kind: 'exited', exitCode, startedAt, finishedAt, id: 'x', reason: 'Error' } };
}

function plan(spec: Partial<PodSpec>, views: Record<string, ContainerView>) {
  const whole = { containers: [{ name: 'main' }], ...spec };
  const { start, backOff, result } = planContainers(whole, new Map(Object.entries(views)), NOW);
  return {
    start: start.map(({ container, attempt }) => `${container.name}/${attempt}`),
    backOff: Object.fromEntries(backOff),
    result,
  };
}

describe('planContainers', () => {
  it('starts what was never started, at attempt 0', () => {
    const spec = { containers: [{ name: 'a' }, { name: 'b' }] };
    expect(plan(spec, { a: running })).toEqual({ start: ['b/0'], backOff: {}, result: undefined });
  });

  it.each([
    ['Always', 0, ['main/1'], undefined],
    ['Always', 1, ['main/1'], undefined],
    ['OnFailure', 0, [], 'Succeeded'],
    ['OnFailure', 1, ['main/1'], undefined],
    ['Never', 0, [], 'Succeeded'],
    ['Never', 1, [], 'Failed'],
  ] as const)('restart policy %s after exit code %i', (restartPolicy, exitCode, start, result) => {
    expect(plan({ restartPolicy }, { main: exited(exitCode, 0, 10) })).toEqual({
      start,
      backOff: {},
      result,
    });
  });

  it.each([
    [1, 10_000],
    [2, 20_000],
    [3, 40_000],
    [5, 160_000],
    [6, 300_000],
    [40, 300_000],
  ])('attempt %i waits %i ms after its end', (attempt, waitMs) => {
    expect(plan({}, { main: exited(1, attempt, 4000) })).toEqual({
      start: [],
      backOff: { main: NOW - 4000 + waitMs },
      result: undefined,
    });
    expect(plan({}, { main: exited(1, attempt, waitMs) }).start).toEqual([`main/${attempt + 1}`]);
  });

  it('forgets the back-off after ten minutes of running', () => {
    expect(plan({}, { main: exited(1, 7, 10, 600_000) }).start).toEqual(['main/8']);
  });

  it('runs init containers one after another, and the others after them', () => {
    const initContainers = [{ name: 'i1' }, { name: 'i2' }];
    expect(plan({ initContainers }, {}).start).toEqual(['i1/0']);
    expect(plan({ initContainers }, { i1: running }).start).toEqual([]);
    expect(plan({ initContainers }, { i1: exited(0, 0, 10) }).start).toEqual(['i2/0']);
    const done = { i1: exited(0, 0, 10), i2: exited(0, 0, 10) };
    expect(plan({ initContainers }, done).start).toEqual(['main/0']);
  });

  it('fails a pod whose init container failed and may not be restarted', () => {
    const spec = { initContainers: [{ name: 'i1' }], restartPolicy: 'Never' as const };
    expect(plan(spec, { i1: exited(1, 0, 10) })).toEqual({ start: [], backOff: {}, result: 'Failed' });
  });

  it('has no result while one container runs', () => {
    const spec = { containers: [{ name: 'a' }, { name: 'b' }], restartPolicy: 'Never' as const };
    expect(plan(spec, { a: exited(0, 0, 10), b: running }).result).toBeUndefined();
  });
});

describe('formatBackOff', () => {
  it.each([
    [1, '10s'],
    [3, '40s'],
    [4, '1m20s'],
    [9, '5m0s'],
  ])('attempt %i: %s', (attempt, text) => {
    expect(formatBackOff(attempt)).toBe(text);
  });
});
