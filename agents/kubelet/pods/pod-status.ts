// The status of a pod as kubectl wants to read it (pure): phase, conditions, addresses, one status per container.

import { formatRfc3339Seconds } from '../../../lib/model/duration.ts';
import type {
  Container,
  ContainerStatus,
  Pod,
  PodPhase,
  PodSpec,
  PodStatus,
} from '../../../lib/model/kubernetes-pod-types.ts';
import type { Condition } from '../../../lib/model/kubernetes-types.ts';
import type { ContainerState } from '../runtime/container-runtime.ts';

export interface Waiting {
  readonly reason: string;
  readonly message?: string;
}

export interface ContainerObservation {
  readonly state: ContainerState;
  readonly previous: ContainerState | undefined;
  readonly restartCount: number;
  readonly imageId: string;
  /** Why it is not running, where that is not said by its state. */
  readonly waiting: Waiting | undefined;
}

export interface PodObservation {
  readonly hostIp: string;
  readonly podIps: readonly string[];
  /** RFC 3339, whole seconds. */
  readonly startTime: string;
  readonly now: string;
  readonly hasSandbox: boolean;
  readonly containers: ReadonlyMap<string, ContainerObservation>;
  readonly result: 'Succeeded' | 'Failed' | undefined;
  /** Why the pod as a whole does not come up. */
  readonly problem: Waiting | undefined;
}

export function computePodStatus(pod: Pod, observation: PodObservation): PodStatus {
  const spec = pod.spec ?? { containers: [] };
  const statuses = spec.containers.map((container) => containerStatus(container, observation));
  const initStatuses = (spec.initContainers ?? []).map((each) => containerStatus(each, observation, true));
  const phase = phaseOf(statuses, initStatuses, observation);
  const { podIps, hostIp, startTime } = observation;
  const [podIp] = podIps;
  return {
    phase,
    conditions: conditionsOf(pod, phase, statuses, initStatuses, observation),
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    ...(podIp === undefined ? {} : { podIP: podIp, podIPs: podIps.map((ip) => ({ ip })) }),
    startTime,
    qosClass: qosClass(spec),
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
  };
}

function containerStatus(
  { name, image = '' }: Container,
  { containers, problem }: PodObservation,
  isInit = false,
): ContainerStatus {
  const seen = containers.get(name);
  const base = { name, image, imageID: seen?.imageId ?? '', restartCount: seen?.restartCount ?? 0 };
  const state = seen?.state ?? { kind: 'absent' };
  const previous = seen?.previous === undefined ? {} : { lastState: stateOf(seen.previous) };
  if (seen?.waiting !== undefined || state.kind === 'absent') {
    const waiting = seen?.waiting ?? {
      reason: isInit ? 'PodInitializing' : (problem?.reason ?? 'ContainerCreating'),
    };
    // What ran last is what the user wants to see while a back-off lasts.
    const last = state.kind === 'exited' ? { lastState: stateOf(state), containerID: state.id } : previous;
    return { ...base, ready: false, started: false, state: { waiting }, ...last };
  }
  const isRunning = state.kind === 'running';
  const isDone = isInit && state.kind === 'exited' && state.exitCode === 0;
  return {
    ...base,
    containerID: state.id,
    ready: isInit ? isDone : isRunning,
    started: isRunning && !isInit,
    state: stateOf(state),
    ...previous,
  };
}

function stateOf(state: ContainerState): NonNullable<ContainerStatus['state']> {
  switch (state.kind) {
    case 'absent':
      return { waiting: { reason: 'ContainerCreating' } };
    case 'running':
      return { running: { startedAt: formatRfc3339Seconds(state.startedAt.getTime()) } };
    case 'exited':
      return {
        terminated: {
          exitCode: state.exitCode,
          reason: state.reason,
          ...(state.message === undefined ? {} : { message: state.message }),
          startedAt: formatRfc3339Seconds(state.startedAt.getTime()),
          finishedAt: formatRfc3339Seconds(state.finishedAt.getTime()),
          containerID: state.id,
        },
      };
  }
}

function phaseOf(
  statuses: readonly ContainerStatus[],
  initStatuses: readonly ContainerStatus[],
  { result }: PodObservation,
): PodPhase {
  if (result !== undefined) return result;
  if (initStatuses.some(({ ready }) => !ready)) return 'Pending';
  const hasRun = (status: ContainerStatus): boolean =>
    status.state?.running !== undefined ||
    status.state?.terminated !== undefined ||
    status.lastState !== undefined;
  return statuses.every(hasRun) ? 'Running' : 'Pending';
}

function conditionsOf(
  pod: Pod,
  phase: PodPhase,
  statuses: readonly ContainerStatus[],
  initStatuses: readonly ContainerStatus[],
  { hasSandbox, problem, now }: PodObservation,
): Condition[] {
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const unready = statuses.filter(({ ready }) => !ready).map(({ name }) => name);
  const uninitialized = initStatuses.filter(({ ready }) => !ready).map(({ name }) => name);
  const why = notReadyReason(isOver, phase, unready, problem);
  const initialized =
    uninitialized.length === 0
      ? {}
      : {
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: [${uninitialized.join(' ')}]`,
        };
  const wanted: Condition[] = [
    {
      type: 'PodReadyToStartContainers',
      status: hasSandbox ? 'True' : 'False',
      ...(hasSandbox ? {} : problem),
    },
    { type: 'Initialized', status: uninitialized.length === 0 ? 'True' : 'False', ...initialized },
    { type: 'Ready', status: why === undefined ? 'True' : 'False', ...why },
    { type: 'ContainersReady', status: why === undefined ? 'True' : 'False', ...why },
    { type: 'PodScheduled', status: 'True' },
  ];
  const before = pod.status?.conditions ?? [];
  const kept = before.filter(({ type }) => !wanted.some((each) => each.type === type));
  return [...kept, ...wanted.map((condition) => withTransition(condition, before, now))];
}

function notReadyReason(
  isOver: boolean,
  phase: PodPhase,
  unready: readonly string[],
  problem: Waiting | undefined,
): Waiting | undefined {
  if (isOver) return { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' };
  if (unready.length === 0) return undefined;
  const message = problem?.message ?? `containers with unready status: [${unready.join(' ')}]`;
  return { reason: 'ContainersNotReady', message };
}

function withTransition(condition: Condition, before: readonly Condition[], now: string): Condition {
  const known = before.find(({ type, status }) => type === condition.type && status === condition.status);
  return { ...condition, lastTransitionTime: known?.lastTransitionTime ?? now };
}

/** Kubernetes' "Pod Quality of Service Classes". */
export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const hasAny = containers.some(
    ({ resources }) =>
      Object.keys(resources?.requests ?? {}).length + Object.keys(resources?.limits ?? {}).length > 0,
  );
  if (!hasAny) return 'BestEffort';
  const isGuaranteed = containers.every(({ resources }) =>
    ['cpu', 'memory'].every((name) => {
      const limit = resources?.limits?.[name];
      return limit !== undefined && (resources?.requests?.[name] ?? limit) === limit;
    }),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
