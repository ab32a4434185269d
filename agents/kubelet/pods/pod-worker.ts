// Brings one pod to what the API says of it, again and again: level-based, one step at a time, woken by changes of the pod,
// of its containers, and by time. Ends when the pod is gone from the API and nothing of it is left here.

import { isStatus, PODS } from '../../../lib/kube-client/client.ts';
import { Backoff } from '../../../lib/lifecycle/backoff.ts';
import { formatRfc3339Seconds } from '../../../lib/model/duration.ts';
import type { Pod, PodStatus } from '../../../lib/model/kubernetes-pod-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { type ContainerPlan, type ContainerViews, formatBackOff, planContainers } from './container-plan.ts';
import { PodContainers } from './pod-containers.ts';
import { emitPodEvent, type PodContext, runtimeNameFor } from './pod-context.ts';
import type { PodRecord } from './pod-record.ts';
import { PodSandbox } from './pod-sandbox.ts';
import { computePodStatus, type Waiting } from './pod-status.ts';
import { Wakeup } from './wakeup.ts';

/** A pod that nothing happens to is looked at so often. */
const RELIST_MS = 2000;
const RETRY = { minMs: 250, maxMs: 15_000 };
/** Between two looks at containers that are ending. */
const ENDING_POLL_MS = 20;
const KILL_WAIT_MS = 10_000;

type Step = { readonly isDone: true } | { readonly isDone: false; readonly waitMs: number };

export class PodWorker {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Settles when nothing of the pod is left, or the worker was stopped. */
  readonly done: Promise<void>;
  readonly #context: PodContext;
  readonly #record: PodRecord;
  readonly #sandbox: PodSandbox;
  readonly #containers: PodContainers;
  readonly #wakeup = new Wakeup();
  readonly #backoff = new Backoff(RETRY);
  readonly #stopping = new AbortController();
  /** Ends what is under way for a pod that is to go. */
  readonly #bringUp = new AbortController();
  #pod: Pod | undefined;
  #problem: Waiting | undefined;
  #written: PodStatus | undefined;
  #killAtMs = Number.POSITIVE_INFINITY;
  #hasSaidKilling = false;
  #backOffSaid = '';
  /** Nothing of it is on disk yet. */
  #isNew: boolean;

  /** With a record alone, of a pod that is gone, it only cleans up. */
  constructor(context: PodContext, source: Pod | PodRecord, pod: Pod | undefined, after: Promise<void>) {
    this.#context = context;
    this.#isNew = !('version' in source);
    this.#record = 'version' in source ? source : newRecord(context, source);
    this.#pod = pod;
    const { namespace, name, uid } = this.#record;
    this.namespace = namespace;
    this.name = name;
    this.uid = uid;
    this.#sandbox = new PodSandbox(context, this.#record);
    this.#containers = new PodContainers(context, this.#record);
    if (pod === undefined) this.#noteGone();
    else this.#noteDeletion(pod);
    this.done = after.then(() => this.#run());
  }

  get record(): PodRecord {
    return this.#record;
  }

  /** The pod as the API has it now; undefined when it is gone there. */
  update(pod: Pod | undefined): void {
    this.#pod = pod;
    if (pod === undefined) this.#noteGone();
    else this.#noteDeletion(pod);
    this.#wakeup.wake();
  }

  wake(): void {
    this.#wakeup.wake();
  }

  /** The kubelet stops; the pod goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#bringUp.abort();
    this.#wakeup.wake();
    await this.done;
  }

  #noteGone(): void {
    this.#killAtMs = 0;
    this.#bringUp.abort();
  }

  #noteDeletion(pod: Pod): void {
    if (pod.metadata.deletionTimestamp === undefined) return;
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? this.#record.graceSeconds) * 1000;
    this.#killAtMs = Math.min(this.#killAtMs, this.#context.now().getTime() + graceMs);
    this.#bringUp.abort();
  }

  async #run(): Promise<void> {
    const stopping = this.#stopping.signal;
    while (!stopping.aborted) {
      const step = await this.#tryStep();
      if (step.isDone) return;
      await this.#wakeup.wait(step.waitMs);
    }
  }

  async #tryStep(): Promise<Step> {
    try {
      const step = await this.#step();
      this.#backoff.reset();
      return step;
    } catch (error) {
      const waitMs = this.#backoff.next();
      if (!this.#stopping.signal.aborted)
        this.#context.logger.warn('pod not in its wanted state yet', {
          pod: `${this.namespace}/${this.name}`,
          retryMs: Math.round(waitMs),
          error,
        });
      return { isDone: false, waitMs };
    }
  }

  async #step(): Promise<Step> {
    const pod = this.#pod;
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return this.#terminate(pod);
    const hasEndedBefore = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    // It ended, and what was known of it is lost with the host's disk.
    if (hasEndedBefore && Object.keys(this.#record.attempts).length === 0)
      return { isDone: false, waitMs: RELIST_MS };
    try {
      return await this.#advance(pod);
    } catch (error) {
      if (this.#bringUp.signal.aborted) return { isDone: false, waitMs: 0 };
      await this.#noteProblem(pod, error);
      throw error;
    }
  }

  /** One step towards a running pod, and its status. */
  async #advance(pod: Pod): Promise<Step> {
    const signal = this.#bringUp.signal;
    this.#admit(pod);
    await this.#sandbox.check(signal);
    const spec = pod.spec ?? { containers: [] };
    const views = await this.#containers.views(signal);
    const plan = planContainers(spec, views, this.#context.now().getTime());
    if (plan.result !== undefined) return this.#finish(pod, plan.result, views);
    const all = [...(spec.initContainers ?? []), ...spec.containers];
    const canRun = await this.#containers.checkImages(pod, all, signal);
    if (canRun && plan.start.length > 0) {
      if (!this.#sandbox.isReady) await this.#writeStatus(pod, views, undefined);
      await this.#sandbox.ensure(signal);
      this.#problem = undefined;
      await this.#start(pod, plan, signal);
    }
    this.#noteBackOff(pod, plan);
    const after = await this.#containers.views(signal);
    await this.#writeStatus(pod, after, undefined);
    const nowMs = this.#context.now().getTime();
    const waits = [...plan.backOff.values()].map((untilMs) => Math.max(0, untilMs - nowMs));
    return { isDone: false, waitMs: Math.min(RELIST_MS, ...waits) };
  }

  /** On disk before anything is made for it. A disk that is full keeps the pod waiting, and says so. */
  #admit(pod: Pod): void {
    if (!this.#isNew) return;
    this.#context.records.write(this.#record);
    this.#isNew = false;
    const revision = Number(pod.metadata.resourceVersion);
    emitPodEvent(this.#context, 'podAdmitted', this.#record, { revision });
  }

  async #start(pod: Pod, plan: ContainerPlan, signal: AbortSignal): Promise<void> {
    const sandbox = this.#sandbox.current;
    if (sandbox === undefined) return;
    for (const action of plan.start)
      await this.#containers.start(pod, action, sandbox, this.#sandbox.addresses, signal);
  }

  #noteBackOff(pod: Pod, plan: ContainerPlan): void {
    for (const name of plan.backOff.keys()) {
      const attempt = this.#record.attempts[name] ?? 0;
      const message = `back-off ${formatBackOff(attempt)} restarting failed container=${name} pod=${this.name}_${this.namespace}(${this.uid})`;
      this.#containers.setWaiting(name, { reason: 'CrashLoopBackOff', message });
      const id = `${name}/${attempt}`;
      if (this.#backOffSaid === id) continue;
      this.#backOffSaid = id;
      const text = `Back-off restarting failed container ${name} in pod ${this.name}_${this.namespace}(${this.uid})`;
      this.#context.recorder.record(pod as Resource, 'Warning', 'BackOff', text);
    }
  }

  /** All containers have ended for good: the address goes back, what they said stays. */
  async #finish(pod: Pod, result: 'Succeeded' | 'Failed', views: ContainerViews): Promise<Step> {
    await this.#writeStatus(pod, views, result);
    this.#sandbox.setAside();
    await this.#sandbox.release(this.#stopping.signal);
    return { isDone: false, waitMs: RELIST_MS };
  }

  async #noteProblem(pod: Pod, error: unknown): Promise<void> {
    const message = (error as { message?: string }).message ?? String(error);
    const isSandbox = !this.#sandbox.isReady;
    const text = isSandbox ? `Failed to create pod sandbox: ${message}` : `Error: ${message}`;
    const isNew = this.#problem?.message !== text;
    this.#problem = { reason: isSandbox ? 'ContainerCreating' : 'RunContainerError', message: text };
    this.#context.recorder.record(
      pod as Resource,
      'Warning',
      isSandbox ? 'FailedCreatePodSandBox' : 'Failed',
      text,
    );
    if (isNew) emitPodEvent(this.#context, 'podWaiting', this.#record, { cause: message });
    try {
      await this.#writeStatus(pod, await this.#containers.views(this.#stopping.signal), undefined);
    } catch (statusError) {
      this.#context.logger.debug('status not written', { pod: this.name, error: statusError });
    }
  }

  /** TERM, the grace period, KILL; the address back; the API told. */
  async #terminate(pod: Pod | undefined): Promise<Step> {
    const signal = this.#stopping.signal;
    const views = await this.#endContainers(pod, signal);
    if (pod !== undefined) await this.#writeLastStatus(pod, views);
    this.#sandbox.setAside();
    await this.#sandbox.release(signal);
    if (pod !== undefined) await this.#deleteFromApi(pod, signal);
    await this.#containers.removeAll(signal);
    this.#context.records.remove(this.uid);
    emitPodEvent(this.#context, 'podRemoved', this.#record);
    return { isDone: true };
  }

  async #endContainers(pod: Pod | undefined, signal: AbortSignal): Promise<ContainerViews> {
    let views = await this.#containers.views(signal);
    const isRunning = (): boolean => [...views.values()].some(({ state }) => state.kind === 'running');
    if (!isRunning()) return views;
    if (pod !== undefined && !this.#hasSaidKilling) {
      this.#hasSaidKilling = true;
      for (const [name, { state }] of views)
        if (state.kind === 'running')
          this.#context.recorder.record(pod as Resource, 'Normal', 'Killing', `Stopping container ${name}`);
    }
    const nowMs = (): number => this.#context.now().getTime();
    if (this.#killAtMs > nowMs()) await this.#containers.signalAll('TERM', views, signal);
    const giveUpMs = (): number => Math.max(this.#killAtMs, startedMs) + KILL_WAIT_MS;
    const startedMs = nowMs();
    while (isRunning() && nowMs() < giveUpMs() && !signal.aborted) {
      if (nowMs() >= this.#killAtMs) await this.#containers.signalAll('KILL', views, signal);
      await this.#wakeup.wait(ENDING_POLL_MS);
      views = await this.#containers.views(signal);
    }
    if (isRunning()) throw new Error(`containers of pod ${this.namespace}/${this.name} do not end`);
    return views;
  }

  async #writeLastStatus(pod: Pod, views: ContainerViews): Promise<void> {
    const codes = [...views.values()].map(({ state }) => (state.kind === 'exited' ? state.exitCode : 0));
    await this.#writeStatus(pod, views, codes.every((code) => code === 0) ? 'Succeeded' : 'Failed');
  }

  async #deleteFromApi(pod: Pod, signal: AbortSignal): Promise<void> {
    const body = { gracePeriodSeconds: 0, preconditions: { uid: this.uid } };
    try {
      await this.#context.client.delete(PODS, this.namespace, pod.metadata.name, body, { signal });
    } catch (error) {
      // Gone, or another pod of the same name by now.
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
    }
  }

  async #writeStatus(
    pod: Pod,
    views: ContainerViews,
    result: 'Succeeded' | 'Failed' | undefined,
  ): Promise<void> {
    const { client, hostIp, now } = this.#context;
    const signal = this.#stopping.signal;
    const base = this.#written === undefined ? pod : { ...pod, status: this.#written };
    const status = computePodStatus(base, {
      hostIp,
      podIps: this.#sandbox.addresses.length > 0 ? this.#sandbox.addresses : knownIps(base, result),
      startTime: this.#record.startTime,
      now: formatRfc3339Seconds(now().getTime()),
      hasSandbox: this.#sandbox.isReady,
      containers: await this.#containers.observe(views, signal),
      result,
      problem: this.#problem,
    });
    if (JSON.stringify(status) === JSON.stringify(this.#written)) return;
    // A merge patch keeps what it does not name.
    const full = { podIP: null, podIPs: null, reason: null, message: null, ...status };
    const patch = { metadata: { uid: this.uid }, status: full };
    try {
      await client.patch(PODS, this.namespace, this.name, patch, { subresource: 'status', signal });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
    this.#written = status;
  }
}

/** A pod that has ended still tells the address it had. */
function knownIps(pod: Pod, result: string | undefined): readonly string[] {
  return result === undefined ? [] : (pod.status?.podIPs ?? []).map(({ ip }) => ip);
}

function newRecord(context: PodContext, pod: Pod): PodRecord {
  const { namespace = 'default', name, uid = '' } = pod.metadata;
  return {
    version: 1,
    uid,
    namespace,
    name,
    runtime: runtimeNameFor(pod, context.dockerRuntime !== undefined),
    hostNetwork: pod.spec?.hostNetwork === true,
    graceSeconds: pod.spec?.terminationGracePeriodSeconds ?? 30,
    startTime: formatRfc3339Seconds(context.now().getTime()),
    hostLife: context.hostLife,
    attempts: {},
    toRelease: [],
  };
}
