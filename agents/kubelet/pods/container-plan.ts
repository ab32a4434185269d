// What is to be done for a pod's containers, from what is wanted and what is seen (pure). Kubernetes' "Pod Lifecycle": init
// containers one after another, restart policy, back-off of 10 s that doubles up to 300 s, reset after 10 minutes of running.

import type { Container, PodSpec } from '../../../lib/model/kubernetes-pod-types.ts';
import type { ContainerState } from '../runtime/container-runtime.ts';

export interface ContainerView {
  /** The latest attempt; undefined when none was started. */
  readonly attempt: number | undefined;
  readonly state: ContainerState;
}

export type ContainerViews = ReadonlyMap<string, ContainerView>;

export interface StartAction {
  readonly container: Container;
  readonly attempt: number;
}

export interface ContainerPlan {
  readonly start: readonly StartAction[];
  /** Containers that wait out a back-off, and until when (milliseconds since the epoch). */
  readonly backOff: ReadonlyMap<string, number>;
  /** All has ended for good, and how. */
  readonly result: 'Succeeded' | 'Failed' | undefined;
}

const BACK_OFF_BASE_MS = 10_000;
const BACK_OFF_MAX_MS = 300_000;
const RESET_AFTER_MS = 600_000;

export function planContainers(spec: PodSpec, views: ContainerViews, nowMs: number): ContainerPlan {
  const policy = spec.restartPolicy ?? 'Always';
  for (const container of spec.initContainers ?? []) {
    const view = views.get(container.name);
    if (view?.state.kind === 'exited' && view.state.exitCode === 0) continue;
    if (view?.state.kind === 'running') return { start: [], backOff: new Map(), result: undefined };
    const isFinal = view?.state.kind === 'exited' && policy === 'Never';
    if (isFinal) return { start: [], backOff: new Map(), result: 'Failed' };
    return planOne(container, view, nowMs);
  }
  const plans = spec.containers.map((container) => {
    const view = views.get(container.name);
    if (view === undefined || mustRestart(view.state, policy)) return planOne(container, view, nowMs);
    return undefined;
  });
  return {
    start: plans.flatMap((plan) => plan?.start ?? []),
    backOff: new Map(plans.flatMap((plan) => [...(plan?.backOff ?? [])])),
    result: resultOf(spec, views, policy),
  };
}

function mustRestart(state: ContainerState, policy: string): boolean {
  if (state.kind === 'running') return false;
  if (state.kind === 'absent' || policy === 'Always') return true;
  return policy === 'OnFailure' && state.exitCode !== 0;
}

function planOne(container: Container, view: ContainerView | undefined, nowMs: number): ContainerPlan {
  if (view?.attempt === undefined)
    return { start: [{ container, attempt: 0 }], backOff: new Map(), result: undefined };
  const attempt = view.attempt + 1;
  const until = backOffUntil(view.state, attempt);
  return until <= nowMs
    ? { start: [{ container, attempt }], backOff: new Map(), result: undefined }
    : { start: [], backOff: new Map([[container.name, until]]), result: undefined };
}

/** The first restart comes at once. */
function backOffUntil(state: ContainerState, nextAttempt: number): number {
  if (state.kind !== 'exited' || nextAttempt < 2) return 0;
  const ranMs = state.finishedAt.getTime() - state.startedAt.getTime();
  if (ranMs >= RESET_AFTER_MS) return 0;
  const delay = Math.min(BACK_OFF_MAX_MS, BACK_OFF_BASE_MS * 2 ** Math.min(nextAttempt - 2, 10));
  return state.finishedAt.getTime() + delay;
}

function resultOf(spec: PodSpec, views: ContainerViews, policy: string): ContainerPlan['result'] {
  if (policy === 'Always') return undefined;
  const states = spec.containers.map(({ name }) => views.get(name)?.state);
  const exits = states.map((state) => (state?.kind === 'exited' ? state.exitCode : undefined));
  if (exits.includes(undefined)) return undefined;
  if (exits.every((code) => code === 0)) return 'Succeeded';
  return policy === 'Never' ? 'Failed' : undefined;
}

/** Seconds that a back-off lasts, as Kubernetes words it: `40s`, `5m0s`. */
export function formatBackOff(attempt: number): string {
  const seconds =
    Math.min(BACK_OFF_MAX_MS, BACK_OFF_BASE_MS * 2 ** Math.max(0, Math.min(attempt - 1, 10))) / 1000;
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
