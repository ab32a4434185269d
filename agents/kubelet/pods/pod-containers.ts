// The containers of one pod: looks at them, starts them, ends them, and tells the user in events.

import type { Container, Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { ContainerRef, ContainerState, Sandbox } from '../runtime/container-runtime.ts';
import type { ContainerViews, StartAction } from './container-plan.ts';
import { containerEnvironment, containerMounts, podHostname } from './environment.ts';
import { emitPodEvent, type PodContext, runtimeOf } from './pod-context.ts';
import type { PodRecord } from './pod-record.ts';
import type { ContainerObservation, Waiting } from './pod-status.ts';

export class PodContainers {
  readonly #context: PodContext;
  readonly #record: PodRecord;
  readonly #waiting = new Map<string, Waiting>();
  readonly #imageIds = new Map<string, string>();
  readonly #exitsTold = new Set<string>();

  constructor(context: PodContext, record: PodRecord) {
    this.#context = context;
    this.#record = record;
  }

  ref(container: string, attempt = this.#record.attempts[container] ?? 0): ContainerRef {
    return { podUid: this.#record.uid, container, attempt };
  }

  setWaiting(container: string, waiting: Waiting | undefined): void {
    if (waiting === undefined) this.#waiting.delete(container);
    else this.#waiting.set(container, waiting);
  }

  /** The latest attempt of every container that was ever started. */
  async views(signal: AbortSignal): Promise<ContainerViews> {
    const runtime = runtimeOf(this.#context, this.#record);
    const views = new Map<string, { attempt: number; state: ContainerState }>();
    for (const [container, attempt] of Object.entries(this.#record.attempts)) {
      const state = await runtime.inspect(this.ref(container, attempt), signal);
      views.set(container, { attempt, state });
      this.#tellExit(container, attempt, state);
    }
    return views;
  }

  async observe(views: ContainerViews, signal: AbortSignal): Promise<Map<string, ContainerObservation>> {
    const runtime = runtimeOf(this.#context, this.#record);
    const observations = new Map<string, ContainerObservation>();
    for (const [name, { attempt = 0, state }] of views) {
      const previous = attempt > 0 ? await runtime.inspect(this.ref(name, attempt - 1), signal) : undefined;
      observations.set(name, {
        state,
        previous: previous?.kind === 'exited' ? previous : undefined,
        restartCount: attempt,
        imageId: this.#imageIds.get(name) ?? '',
        waiting: this.#waiting.get(name),
      });
    }
    for (const [name, waiting] of this.#waiting)
      if (!observations.has(name))
        observations.set(name, {
          state: { kind: 'absent' },
          previous: undefined,
          restartCount: 0,
          imageId: '',
          waiting,
        });
    return observations;
  }

  /** Whether every image can be run; those that cannot are set waiting with the reason. */
  async checkImages(pod: Pod, containers: readonly Container[], signal: AbortSignal): Promise<boolean> {
    let isWhole = true;
    for (const { name, image = '' } of containers) {
      const verdict = await runtimeOf(this.#context, this.#record).ensureImage(image, signal);
      if (verdict.ok) {
        if (!this.#imageIds.has(name))
          this.#say(pod, 'Normal', 'Pulled', `Container image "${image}" already present on machine`);
        this.#imageIds.set(name, verdict.imageId);
        this.setWaiting(name, undefined);
        continue;
      }
      isWhole = false;
      if (this.#waiting.get(name)?.message !== verdict.message) {
        this.#say(pod, 'Warning', 'Failed', `Failed to pull image "${image}": ${verdict.message}`);
        emitPodEvent(this.#context, 'podWaiting', this.#record, { cause: verdict.message });
      }
      this.setWaiting(name, { reason: verdict.reason, message: verdict.message });
    }
    return isWhole;
  }

  /** Throws RuntimeError; a specification that cannot be met is set waiting. */
  async start(
    pod: Pod,
    { container, attempt }: StartAction,
    sandbox: Sandbox,
    podIps: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { nodeName, hostIp, records } = this.#context;
    const record = this.#record;
    const env = containerEnvironment(pod, container, { nodeName, hostIp, podIps });
    const mounts = containerMounts(pod, container, (name) => records.volume(record.uid, name));
    if (!env.ok || !mounts.ok) {
      const message = env.ok ? (mounts.ok ? '' : mounts.problem) : env.problem;
      this.setWaiting(container.name, { reason: 'CreateContainerConfigError', message });
      this.#say(pod, 'Warning', 'Failed', `Error: ${message}`);
      return;
    }
    const runtime = runtimeOf(this.#context, record);
    const ref = this.ref(container.name, attempt);
    const started = performance.now();
    // On disk before it runs: a container that nobody remembers could not be ended.
    record.attempts[container.name] = attempt;
    records.write(record);
    await runtime.startContainer(
      {
        ref,
        namespace: record.namespace,
        pod: record.name,
        image: container.image ?? '',
        command: container.command,
        args: container.args,
        env: env.value,
        workingDir: container.workingDir,
        hostname: podHostname(pod),
        sandbox,
        mounts: mounts.value,
      },
      signal,
    );
    this.setWaiting(container.name, undefined);
    if (attempt >= 2) await runtime.removeContainer(this.ref(container.name, attempt - 2), signal);
    this.#say(pod, 'Normal', 'Created', `Created container: ${container.name}`);
    this.#say(pod, 'Normal', 'Started', `Started container ${container.name}`);
    emitPodEvent(this.#context, 'podStarted', record, {
      cause: container.name,
      durationMs: performance.now() - started,
    });
  }

  async signalAll(kind: 'TERM' | 'KILL', views: ContainerViews, signal: AbortSignal): Promise<void> {
    const runtime = runtimeOf(this.#context, this.#record);
    for (const [name, { attempt, state }] of views)
      if (state.kind === 'running') await runtime.signalContainer(this.ref(name, attempt), kind, signal);
  }

  async removeAll(signal: AbortSignal): Promise<void> {
    const runtime = runtimeOf(this.#context, this.#record);
    for (const [name, attempt] of Object.entries(this.#record.attempts))
      for (const each of [attempt, attempt - 1])
        if (each >= 0) await runtime.removeContainer(this.ref(name, each), signal);
  }

  #tellExit(container: string, attempt: number, state: ContainerState): void {
    const key = `${container}/${attempt}`;
    if (state.kind !== 'exited' || this.#exitsTold.has(key)) return;
    this.#exitsTold.add(key);
    emitPodEvent(this.#context, state.exitCode === 0 ? 'podExited' : 'podFailed', this.#record, {
      cause: `${container}: ${state.reason}, exit code ${state.exitCode}${state.message === undefined ? '' : `, ${state.message}`}`,
    });
  }

  #say(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.record(pod as Resource, type, reason, message);
  }
}
